// The highest scores without a verdict
// About: platform, 2
// Use when: you have time for some more cases today.
// Param limit (whole number, default 100): rows at most
// Returns: table: one row an account, the highest score first
// Bound: `limit` rows of the 20,000 highest scores, found by an index
MATCH (account:Account)
WHERE account.score >= 0
WITH account
ORDER BY account.score DESC
LIMIT 20000
WITH account
WHERE account.verdict IS NULL
RETURN account.id AS account, account.score AS score, account.percentile AS percentile,
  account.risk_level AS risk_level, account.ring AS ring, account.first_seen AS first_seen
ORDER BY score DESC, account
LIMIT $limit
