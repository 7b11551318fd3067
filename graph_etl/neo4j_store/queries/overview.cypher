// The platform at a glance
// About: platform, 1
// Use when: you open the database for the first time, or wonder how fresh it is.
// Returns: table: one row a figure
// Bound: 14 rows; totals come from Neo4j's own counts, the rest is counted to 100,000
CALL () {
  MATCH (state:RingwatchState {name: 'graph'})
  RETURN state
  LIMIT 1
}
CALL () {
  OPTIONAL MATCH (newest:Account)
  WHERE newest.first_seen IS NOT NULL
  RETURN newest.first_seen AS latest
  ORDER BY latest DESC
  LIMIT 1
}
CALL () { MATCH (one:Account) RETURN count(one) AS accounts }
CALL () { MATCH (one:Identifier) RETURN count(one) AS identifiers }
CALL () { MATCH (one:Entity) RETURN count(one) AS entities }
CALL () { MATCH ()-[one]->() RETURN count(one) AS relationships }
CALL () {
  CALL () {
    MATCH (one:Account)
    WHERE one.verdict = 'bad'
    RETURN one
    LIMIT 100000
  }
  RETURN count(one) AS bad
}
CALL () {
  CALL () {
    MATCH (one:Ring)
    WHERE one.rank >= 1
    RETURN one
    LIMIT 100000
  }
  WITH one
  WHERE one.superseded = false
  RETURN count(one) AS rings
}
CALL () {
  CALL () {
    MATCH (one:Identifier)
    WHERE one.hub_reason IS NOT NULL
    RETURN one
    LIMIT 50000
    UNION ALL
    MATCH (one:Entity)
    WHERE one.hub_reason IS NOT NULL
    RETURN one
    LIMIT 50000
  }
  RETURN count(one) AS hubs
}
UNWIND [
  ['data set', state.data],
  ['snapshot', state.snapshot],
  ['being loaded', state.loading],
  ['run of rings', state.run],
  ['bundle', state.bundle],
  ['scored at', toString(state.scored_at)],
  ['last account appeared', toString(latest)],
  ['accounts', toString(accounts)],
  ['identifiers', toString(identifiers)],
  ['other entities', toString(entities)],
  ['relationships', toString(relationships)],
  ['known bad accounts', toString(bad)],
  ['rings', toString(rings)],
  ['hubs', toString(hubs)]
] AS figure
RETURN figure[0] AS what, figure[1] AS value
