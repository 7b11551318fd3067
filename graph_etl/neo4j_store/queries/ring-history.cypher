// What became of a ring
// About: rings, 9
// Use when: an old alert names a ring that is gone, or you want to see how a ring grew, split or merged.
// Param ring (text): id of the ring
// Returns: graph: the rings that it came from and that it went on as, one row each
// Bound: 281 nodes: 140 ways back and 140 ways on, of 20 runs each
MATCH (ring:Ring {id: $ring})
CALL (ring) {
  MATCH way = (earlier:Ring)-[:SUCCEEDED_BY*1..20]->(ring)
  RETURN way, earlier AS one, -length(way) AS runs_later
  LIMIT 140
  UNION ALL
  WITH ring
  RETURN null AS way, ring AS one, 0 AS runs_later
  UNION ALL
  MATCH way = (ring)-[:SUCCEEDED_BY*1..20]->(later:Ring)
  RETURN way, later AS one, length(way) AS runs_later
  LIMIT 140
}
RETURN runs_later, one.id AS ring, one.superseded AS superseded, one.superseded_at AS superseded_at,
  one.rank AS rank, one.score AS score, one.size AS accounts, one, way
ORDER BY runs_later, ring
