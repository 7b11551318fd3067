// The rings that matter most
// About: rings, 1
// Use when: you begin the day and want to know where to look first.
// Param limit (whole number, default 100): rows at most
// Returns: table: one row a ring, the best rank first
// Bound: `limit` rings, found by rank in an index
MATCH (ring:Ring)
WHERE ring.rank >= 1 AND NOT ring.superseded
WITH ring
ORDER BY ring.rank
LIMIT $limit
RETURN ring.rank AS rank, ring.id AS ring, ring.score AS score, ring.size AS accounts,
  ring.known_bad AS known_bad, ring.words AS words
ORDER BY rank
