// Who used this identifier?
// About: identifiers, 1
// Use when: you have a device, an address, a card, and want its accounts. `ringwatch hash KIND VALUE` prints
//   its key.
// Param key (text): key of the identifier or other node: its hash
// Param limit (whole number, default 100): rows at most
// Returns: table: one row an account, the latest to come first; first the node itself: how many accounts in
//   all, whether it is a hub and why
// Bound: `limit` rows; of each of at most 10 nodes with this key 1,000 relationships are looked at
CALL () {
  MATCH (thing:Identifier {hash: $key})
  RETURN thing
  LIMIT 10
  UNION ALL
  MATCH (thing:Entity {key: $key})
  RETURN thing
  LIMIT 10
}
CALL (thing) {
  MATCH (thing)-[touch]-(account)
  RETURN touch, account
  LIMIT 1000
}
WITH thing, touch, account
WHERE account:Account
RETURN thing.kind AS kind, thing.accounts AS accounts_in_all, thing.hub AS hub, thing.hub_reason AS hub_reason,
  account.id AS account, toLower(type(touch)) AS how, touch.first_seen AS first_seen, touch.last_seen AS last_seen,
  touch.count AS times, account.score AS score, account.verdict AS verdict, account.ring AS ring
ORDER BY first_seen DESC, account, kind, how
LIMIT $limit
