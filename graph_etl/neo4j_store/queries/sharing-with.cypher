// Accounts that share two or more rare identifiers with an account
// About: accounts, 3
// Use when: you look for the other accounts of whoever is behind an account.
// Param account (text): id of the account
// Param rare (whole number, default 50): an identifier that more accounts touch links nobody
// Param limit (whole number, default 100): rows at most
// Returns: table: one row an account, the one that shares most first: what is shared, its score, verdict and
//   ring
// Bound: `limit` rows; the 50 rarest nodes of the account's first 1,000 relationships, 500 relationships of
//   each
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
WITH account, touch, thing
WHERE thing:Identifier OR thing:Entity AND type(touch) <> 'USED'
WITH DISTINCT account, thing
WHERE NOT thing.hub AND thing.accounts <= $rare
ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
LIMIT 50
CALL (thing) {
  MATCH (thing)--(other)
  RETURN other
  LIMIT 500
}
WITH DISTINCT account, thing, other
WHERE other:Account AND other <> account
WITH other, thing
ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
WITH other, collect(thing) AS shared
WHERE size(shared) >= 2
RETURN other.id AS account, size(shared) AS shares,
  [thing IN shared | thing.kind + ' ' + left(coalesce(thing.value, thing.hash, thing.key), 12)][..10] AS shared,
  shared[0].accounts AS accounts_on_the_rarest, other.score AS score, other.verdict AS verdict, other.ring AS ring
ORDER BY shares DESC, accounts_on_the_rarest, account
LIMIT $limit
