// New accounts on the identifiers of bad ones
// About: platform, 3
// Use when: you ask who came back after a ban.
// Param days (whole number, default 30): how many days before `until` are looked at
// Param until (time, default null): the end of the time looked at; null: when the last account of the graph
//   appeared
// Param rare (whole number, default 50): an identifier that more accounts touch links nobody
// Param limit (whole number, default 100): rows at most
// Returns: table: one row a bad account and an account that appeared after its verdict, the latest first, and
//   what they share
// Bound: `limit` rows; the 500 latest bad verdicts of that time, 200 relationships and the 10 rarest nodes
//   of each, 50 relationships of each node
CALL () {
  MATCH (newest:Account)
  WHERE newest.first_seen IS NOT NULL
  RETURN newest.first_seen AS latest
  ORDER BY latest DESC
  LIMIT 1
}
WITH coalesce($until, latest) AS until
CALL (until) {
  MATCH (verdict:Verdict)
  WHERE verdict.known_at > until - duration({days: $days}) AND verdict.known_at <= until AND verdict.label = 'bad'
  RETURN verdict
  ORDER BY verdict.known_at DESC
  LIMIT 500
}
MATCH (verdict)<-[:HAS_VERDICT]-(bad:Account {verdict: 'bad'})
WITH until, bad, min(verdict.known_at) AS known_at
CALL (bad) {
  CALL (bad) {
    MATCH (bad)-[touch]-(thing)
    RETURN touch, thing
    LIMIT 200
  }
  WITH touch, thing
  WHERE thing:Identifier OR thing:Entity AND type(touch) <> 'USED'
  WITH DISTINCT thing
  WHERE NOT thing.hub AND thing.accounts >= 2 AND thing.accounts <= $rare
  RETURN thing
  ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
  LIMIT 10
}
CALL (thing) {
  MATCH (thing)--(other)
  RETURN other
  LIMIT 50
}
WITH DISTINCT until, bad, known_at, thing, other
WHERE other:Account AND other.first_seen > known_at AND other.first_seen <= until
WITH bad, known_at, other, thing
ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
WITH bad, known_at, other,
  collect(thing.kind + ' ' + left(coalesce(thing.value, thing.hash, thing.key), 12)) AS shared
RETURN other.id AS new_account, other.first_seen AS appeared, bad.id AS bad_account, known_at AS bad_since, shared,
  other.score AS score, other.verdict AS verdict, other.ring AS ring
ORDER BY appeared DESC, new_account, bad_account
LIMIT $limit
