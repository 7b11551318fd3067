// Why is this account in this ring?
// About: rings, 4
// Use when: somebody doubts that an account belongs to its ring, or you want to tell it why.
// Param account (text): id of the account
// Param limit (whole number, default 100): rows at most
// Returns: table: one row a piece of evidence, the one with most members first: what is shared, what was
//   sent, the strongest links
// Bound: `limit` rows; 1,000 relationships of the account, 500 of each node that it shares with others are
//   looked at; a hub is no evidence
MATCH (account:Account {id: $account})-[membership:MEMBER_OF]->(ring:Ring {superseded: false})
CALL (account, ring) {
  CALL (account) {
    MATCH (account)-[:USED]->(thing)
    RETURN thing
    LIMIT 500
    UNION
    MATCH (account)--(thing)
    RETURN thing
    LIMIT 500
  }
  WITH DISTINCT account, ring, thing
  WHERE (thing:Identifier OR thing:Entity) AND NOT thing.hub
  ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
  LIMIT 100
  CALL (account, ring, thing) {
    MATCH (thing)--(other)
    WITH account, ring, other
    LIMIT 500
    WITH DISTINCT account, ring, other
    WHERE other:Account AND other.ring = ring.id AND other <> account
    WITH other
    ORDER BY other.id
    RETURN collect(other.id) AS others
  }
  WITH thing, others
  WHERE size(others) >= 1
  RETURN 'shares ' + thing.kind AS evidence, coalesce(thing.value, thing.hash, thing.key) AS what, others,
    thing.accounts AS accounts_in_all, null AS strength
  UNION ALL
  WITH account, ring
  CALL (account) {
    MATCH (account)-[dealing]-(other)
    RETURN dealing, other
    LIMIT 1000
  }
  WITH account, ring, dealing, other
  WHERE other:Account AND other.ring = ring.id AND type(dealing) <> 'LINKED_TO'
  WITH toLower(type(dealing)) + CASE WHEN startNode(dealing) = account THEN ' to' ELSE ' from' END AS evidence,
    other.id AS who, dealing.count AS times
  ORDER BY who
  RETURN evidence, toString(sum(times)) + ' in all' AS what, collect(who) AS others, null AS accounts_in_all,
    null AS strength
  UNION ALL
  WITH account, ring
  CALL (account) {
    MATCH (account)-[link:LINKED_TO]-(other:Account)
    RETURN link, other
    LIMIT 1000
  }
  WITH ring, link, other
  WHERE other.ring = ring.id
  WITH link, other
  ORDER BY link.weight DESC, other.id
  LIMIT 10
  RETURN 'linked to' AS evidence, link.because AS what, [other.id] AS others, null AS accounts_in_all,
    link.weight AS strength
}
RETURN ring.id AS ring, membership.role AS role, evidence, what, size(others) AS members,
  others[..10] AS first_members, accounts_in_all, strength
ORDER BY members DESC, strength DESC, evidence, what
LIMIT $limit
