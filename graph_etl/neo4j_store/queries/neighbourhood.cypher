// The neighbourhood of an account
// About: accounts, 1
// Use when: you begin with one account and want to look around.
// Param account (text): id of the account
// Param rare (whole number, default 50): an identifier that more accounts touch links nobody
// Returns: graph: what the account touches, who else is on the rare ones, whom it deals with, its ring and
//   verdicts
// Bound: 242 nodes: 40 touched, the rarest first, 120 others on them, 60 dealt with, 20 verdicts; of 1,000
//   relationships; a hub is shown, never gone through; the row says how many more
MATCH (account:Account {id: $account})
CALL (account) {
  MATCH (account)-[touch:USED]->(thing)
  RETURN touch, thing
  LIMIT 500
  UNION
  MATCH (account)-[touch]-(thing)
  RETURN touch, thing
  LIMIT 500
}
WITH account, collect(CASE WHEN thing:Identifier OR thing:Entity THEN [thing, touch] END) AS touched,
  collect(CASE WHEN thing:Account AND type(touch) <> 'LINKED_TO' THEN [thing, touch] END) AS dealt
CALL (touched) {
  UNWIND touched AS pair
  WITH pair[0] AS thing, collect(pair[1]) AS touches
  ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
  WITH collect(thing) AS found, collect(touches) AS ways
  RETURN found[..40] AS things, ways[..40] AS touches, size(found) AS things_in_all
}
CALL (account, things) {
  UNWIND things AS thing
  WITH account, thing
  WHERE NOT thing.hub AND thing.accounts <= $rare
  CALL (thing) {
    MATCH (thing)-[touched]-(other)
    RETURN touched, other
    LIMIT 200
  }
  WITH account, touched, other
  WHERE other:Account AND other <> account
  WITH other, collect(touched) AS ways
  ORDER BY size(ways) DESC, other.id
  WITH collect(other) AS found, collect(ways) AS shared
  RETURN found[..120] AS others, shared[..120] AS sharing, size(found) AS others_in_all
}
CALL (dealt) {
  UNWIND dealt AS pair
  WITH pair[0] AS partner, collect(pair[1]) AS ways
  ORDER BY size(ways) DESC, partner.id
  WITH collect(partner) AS found, collect(ways) AS dealings
  RETURN found[..60] AS partners, dealings[..60] AS dealings, size(found) AS partners_in_all
}
CALL (account) {
  OPTIONAL MATCH (account)-[membership:MEMBER_OF]->(ring:Ring {superseded: false})
  RETURN membership, ring
  LIMIT 1
}
CALL (account) {
  CALL (account) {
    MATCH (account)-[gave:HAS_VERDICT]->(verdict:Verdict)
    RETURN gave, verdict
    LIMIT 200
  }
  WITH gave, verdict
  ORDER BY verdict.known_at DESC, verdict.id
  LIMIT 20
  RETURN collect(verdict) AS verdicts, collect(gave) AS given
}
RETURN account, things, touches, others, sharing, partners, dealings, ring, membership, verdicts, given,
  things_in_all - size(things) AS things_not_shown, others_in_all - size(others) AS others_not_shown,
  partners_in_all - size(partners) AS partners_not_shown, COUNT { (account)--() } AS relationships_in_all
