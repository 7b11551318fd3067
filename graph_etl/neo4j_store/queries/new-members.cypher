// New members of rings since yesterday
// About: rings, 5
// Use when: you want to see which rings grew, before anybody complains.
// Param hours (whole number, default 24): how long before `until` counts as new
// Param until (time, default null): the end of the time looked at; null: when the last account of the graph
//   appeared
// Param limit (whole number, default 100): rows at most
// Returns: table: one row an account that appeared then and is in a ring, the ring with the best rank first
// Bound: `limit` rows; the 5,000 newest accounts of that time, found by an index
CALL () {
  MATCH (newest:Account)
  WHERE newest.first_seen IS NOT NULL
  RETURN newest.first_seen AS latest
  ORDER BY latest DESC
  LIMIT 1
}
WITH coalesce($until, latest) AS until
CALL (until) {
  MATCH (member:Account)
  WHERE member.first_seen > until - duration({hours: $hours}) AND member.first_seen <= until
  RETURN member
  ORDER BY member.first_seen DESC
  LIMIT 5000
}
MATCH (member)-[membership:MEMBER_OF]->(ring:Ring {superseded: false})
RETURN ring.rank AS rank, ring.id AS ring, ring.score AS ring_score, ring.size AS accounts,
  member.id AS new_account, membership.role AS role, member.first_seen AS first_seen, member.score AS score, member.verdict AS verdict
ORDER BY rank, first_seen, new_account
LIMIT $limit
