// Rings that accounts tie together
// About: rings, 8
// Use when: you want to know which of the first rings belong together: who links to, or deals with, members
//   of another ring.
// Param limit (whole number, default 100): rows at most
// Returns: table: one row a pair of rings, the one with most ties first: how many accounts tie it, how often
//   by links and by dealings
// Bound: `limit` rows; the 50 first rings, 100 members of each, 100 relationships of each member
MATCH (ring:Ring)
WHERE ring.rank >= 1 AND ring.superseded = false
WITH ring
ORDER BY ring.rank
LIMIT 50
CALL (ring) {
  MATCH (ring)<-[:MEMBER_OF]-(member:Account)
  RETURN member
  LIMIT 100
}
CALL (member) {
  MATCH (member)-[tie]-(other)
  RETURN tie, other
  LIMIT 100
}
WITH ring, member, tie, other
WHERE other:Account AND other.ring <> ring.id
WITH DISTINCT tie, member, other,
  CASE WHEN ring.id < other.ring THEN [ring.id, other.ring] ELSE [other.ring, ring.id] END AS rings
WITH rings, tie, collect(member) + collect(other) AS ends
UNWIND ends AS end
WITH rings, collect(DISTINCT tie) AS ties, collect(DISTINCT end.id) AS accounts
RETURN rings[0] AS ring, rings[1] AS other_ring, size(accounts) AS accounts,
  size([tie IN ties WHERE type(tie) = 'LINKED_TO']) AS links,
  size([tie IN ties WHERE type(tie) <> 'LINKED_TO']) AS dealings,
  accounts[..10] AS first_accounts
ORDER BY size(ties) DESC, ring, other_ring
LIMIT $limit
