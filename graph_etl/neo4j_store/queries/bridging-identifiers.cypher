// Identifiers that bridge a ring and others
// About: rings, 7
// Use when: you suspect that two rings are the work of the same people.
// Param ring (text): id of the ring
// Param rare (whole number, default 50): an identifier that more accounts touch links nobody
// Param limit (whole number, default 100): rows at most
// Returns: table: one row a shared node and another ring, the one with most accounts of the other ring first
// Bound: `limit` rows; 500 members, 200 relationships of each; the 500 rarest nodes, 200 relationships of
//   each
MATCH (ring:Ring {id: $ring})
CALL (ring) {
  MATCH (ring)<-[:MEMBER_OF]-(member:Account)
  RETURN member
  LIMIT 500
}
CALL (member) {
  MATCH (member)--(thing)
  RETURN thing
  LIMIT 200
}
WITH ring, thing, count(DISTINCT member) AS of_this_ring
WHERE (thing:Identifier OR thing:Entity) AND NOT thing.hub AND thing.accounts <= $rare
WITH ring, thing, of_this_ring
ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
LIMIT 500
CALL (thing) {
  MATCH (thing)--(other)
  RETURN other
  LIMIT 200
}
WITH DISTINCT ring, thing, of_this_ring, other
WHERE other:Account AND other.ring <> ring.id
RETURN thing.kind AS kind, coalesce(thing.value, thing.hash, thing.key) AS identifier,
  thing.accounts AS accounts_in_all,
  of_this_ring, other.ring AS other_ring, count(*) AS of_other_ring, collect(other.id)[..5] AS first_of_other_ring
ORDER BY of_other_ring DESC, of_this_ring DESC, accounts_in_all, identifier, other_ring
LIMIT $limit
