// The verdicts on an account
// About: accounts, 6
// Use when: you ask who said what of an account, when, and whether it was taken back.
// Param account (text): id of the account
// Param limit (whole number, default 100): rows at most
// Returns: table: one row a verdict, the latest first; known_at is blank where only training uses the verdict
// Bound: `limit` rows of the first 1,000 verdicts
MATCH (account:Account {id: $account})
CALL (account) {
  MATCH (account)-[:HAS_VERDICT]->(verdict:Verdict)
  RETURN verdict
  LIMIT 1000
}
RETURN verdict.known_at AS known_at, verdict.label AS label, verdict.reason AS reason,
  verdict.abuse_type AS abuse_type, verdict.source AS source, verdict.undoes AS undoes, account.verdict AS verdict_now, verdict.id AS verdict
ORDER BY known_at IS NULL, known_at DESC, verdict
LIMIT $limit
