// Pairs of accounts that share two or more rare identifiers
// About: platform, 5
// Use when: you hunt for people with several accounts and have no suspect yet.
// Param rare (whole number, default 50): an identifier that more accounts touch links nobody
// Param limit (whole number, default 100): rows at most
// Returns: table: one row a pair, the one that shares most first: what is shared, verdicts and rings of both
// Bound: `limit` rows; 2,000 accounts on the rarest identifiers that several accounts touch; 100
//   relationships and the 10 rarest nodes of each
CALL () {
  MATCH (thing:Identifier)
  WHERE thing.accounts >= 2 AND thing.accounts <= $rare
  RETURN thing
  ORDER BY thing.accounts
  LIMIT 1000
  UNION ALL
  MATCH (thing:Entity)
  WHERE thing.accounts >= 2 AND thing.accounts <= $rare
  RETURN thing
  ORDER BY thing.accounts
  LIMIT 1000
}
CALL (thing) {
  MATCH (thing)-[touch]-(account)
  RETURN touch, account
  LIMIT 50
}
WITH thing, touch, account
WHERE account:Account AND NOT thing.hub AND (thing:Identifier OR type(touch) <> 'USED')
WITH DISTINCT account
LIMIT 2000
CALL (account) {
  CALL (account) {
    MATCH (account)-[touch]-(thing)
    RETURN touch, thing
    LIMIT 100
  }
  WITH account, touch, thing
  WHERE thing:Identifier OR thing:Entity AND type(touch) <> 'USED'
  WITH DISTINCT account, thing
  WHERE NOT thing.hub AND thing.accounts >= 2 AND thing.accounts <= $rare
  ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
  LIMIT 10
  CALL (thing) {
    MATCH (thing)--(other)
    RETURN other
    LIMIT 50
  }
  WITH DISTINCT account, thing, other
  WHERE other:Account AND other <> account
  WITH account, other, thing
  ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
  WITH account, other, collect(thing) AS shared
  WHERE size(shared) >= 2
  RETURN CASE WHEN account.id < other.id THEN [account, other] ELSE [other, account] END AS pair, shared
  ORDER BY size(shared) DESC, other.id
  LIMIT 20
}
WITH pair, collect(shared)[0] AS shared
RETURN pair[0].id AS first, pair[1].id AS second, size(shared) AS shares,
  [thing IN shared | thing.kind + ' ' + left(coalesce(thing.value, thing.hash, thing.key), 12)] AS shared,
  shared[0].accounts AS accounts_on_the_rarest, [pair[0].verdict, pair[1].verdict] AS verdicts,
  [pair[0].ring, pair[1].ring] AS rings
ORDER BY shares DESC, accounts_on_the_rarest, first, second
LIMIT $limit
