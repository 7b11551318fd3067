// The hubs, with their reasons
// About: identifiers, 2
// Use when: you wonder why something that many accounts share is no evidence, or look for one that is
//   missing.
// Param limit (whole number, default 100): rows at most
// Returns: table: one row a hub, the one with most accounts (of an account: relationships) first
// Bound: `limit` rows of the first 3 × 5,000 hubs, found by indexes that hold nothing else
CALL () {
  MATCH (hub:Identifier)
  WHERE hub.hub_reason IS NOT NULL
  RETURN hub, hub.kind AS kind, coalesce(hub.value, hub.hash) AS key, hub.accounts AS accounts
  LIMIT 5000
  UNION ALL
  MATCH (hub:Entity)
  WHERE hub.hub_reason IS NOT NULL
  RETURN hub, hub.kind AS kind, hub.key AS key, hub.accounts AS accounts
  LIMIT 5000
  UNION ALL
  MATCH (hub:Account)
  WHERE hub.hub_reason IS NOT NULL
  RETURN hub, 'account' AS kind, hub.id AS key, COUNT { (hub)--() } AS accounts
  LIMIT 5000
}
RETURN kind, key, accounts, hub.hub_reason AS reason
ORDER BY accounts DESC, kind, key
LIMIT $limit
