// The strongest links of an account
// About: accounts, 4
// Use when: you ask whom an account is taken to act together with, and why.
// Param account (text): id of the account
// Param limit (whole number, default 100): rows at most
// Returns: table: one row another account, the strongest link first, with its reason, score, verdict and ring
// Bound: `limit` rows of the first 5,000 links
MATCH (account:Account {id: $account})
CALL (account) {
  MATCH (account)-[link:LINKED_TO]-(other:Account)
  RETURN link, other
  LIMIT 5000
}
RETURN other.id AS account, link.weight AS weight, link.because AS because, other.score AS score,
  other.verdict AS verdict, other.ring AS ring
ORDER BY weight DESC, account
LIMIT $limit
