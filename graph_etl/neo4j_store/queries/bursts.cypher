// Bursts: many accounts on one identifier within minutes
// About: platform, 4
// Use when: you look for sign-up waves, machines that make accounts.
// Param days (whole number, default 30): how many days before `until` are looked at
// Param until (time, default null): the end of the time looked at; null: when the last account of the graph
//   appeared
// Param minutes (whole number, default 10): an account belongs to a burst if it came no later than this after
//   the one before
// Param least (whole number, default 3): accounts that make a burst
// Param limit (whole number, default 100): rows at most
// Returns: table: one row an identifier, the largest burst of new accounts on it, the largest first
// Bound: `limit` rows; the 5,000 newest accounts of that time, 50 relationships of each; no identifier is
//   gone through
CALL () {
  MATCH (newest:Account)
  WHERE newest.first_seen IS NOT NULL
  RETURN newest.first_seen AS latest
  ORDER BY latest DESC
  LIMIT 1
}
WITH coalesce($until, latest) AS until
CALL (until) {
  MATCH (account:Account)
  WHERE account.first_seen > until - duration({days: $days}) AND account.first_seen <= until
  RETURN account
  ORDER BY account.first_seen DESC
  LIMIT 5000
}
CALL (account) {
  MATCH (account)-[use:USED]->(thing)
  RETURN use, thing
  LIMIT 50
}
WITH thing, use.first_seen AS came, account
WHERE thing:Identifier AND NOT thing.hub AND came IS NOT NULL
WITH thing, came, account
ORDER BY came, account.id
WITH thing, collect(came) AS times, collect(account.id) AS accounts
WHERE size(times) >= $least
WITH thing, times, accounts,
  [at IN range(0, size(times) - 1)
    WHERE at = 0 OR times[at].epochMillis - times[at - 1].epochMillis > 60000 * $minutes] AS starts
UNWIND range(0, size(starts) - 1) AS nth
WITH thing, times, accounts, starts[nth] AS low, coalesce(starts[nth + 1], size(times)) AS high
ORDER BY high - low DESC, low DESC
WITH thing, times, accounts, collect([low, high])[0] AS burst
WHERE burst[1] - burst[0] >= $least
RETURN thing.kind AS kind, coalesce(thing.value, thing.hash) AS identifier, burst[1] - burst[0] AS accounts,
  times[burst[0]] AS first, times[burst[1] - 1] AS last, thing.accounts AS accounts_in_all,
  accounts[burst[0]..burst[1]][..10] AS first_accounts
ORDER BY accounts DESC, first DESC, kind, identifier
LIMIT $limit
