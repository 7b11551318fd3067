// Two accounts side by side
// About: accounts, 5
// Use when: you decide whether two accounts belong to one person.
// Param account (text): id of the account
// Param other (text): id of the account to compare with
// Returns: table: what is known of both, then what both touch, the rarest first, then what they did to each
//   other
// Bound: 170 rows: 9 facts, 100 shared nodes, 50 dealings, 11 links; 1,000 relationships of each account
MATCH (one:Account {id: $account})
MATCH (two:Account {id: $other})
CALL (one) {
  MATCH (one)-[touch:USED]->(node)
  RETURN touch, node
  LIMIT 500
  UNION
  MATCH (one)-[touch]-(node)
  RETURN touch, node
  LIMIT 500
}
WITH one, two, collect([touch, node]) AS of_one
CALL (two) {
  MATCH (two)-[touch:USED]->(node)
  RETURN touch, node
  LIMIT 500
  UNION
  MATCH (two)-[touch]-(node)
  RETURN touch, node
  LIMIT 500
}
WITH one, two, of_one, collect([touch, node]) AS of_two
CALL (one, two, of_one, of_two) {
  UNWIND [
    [1, 'appeared', toString(one.first_seen), toString(two.first_seen)],
    [2, 'last seen', toString(one.last_seen), toString(two.last_seen)],
    [3, 'verdict', one.verdict, two.verdict],
    [4, 'score', toString(one.score), toString(two.score)],
    [5, 'risk level', one.risk_level, two.risk_level],
    [6, 'ring', one.ring, two.ring],
    [7, 'hub', one.hub_reason, two.hub_reason],
    [8, 'relationships', toString(COUNT { (one)--() }), toString(COUNT { (two)--() })]
  ] AS fact
  RETURN fact[0] AS place, fact[1] AS what, fact[2] AS first, fact[3] AS second, null AS accounts
  UNION ALL
  UNWIND of_one AS mine
  WITH mine[0] AS touch, mine[1] AS thing, of_two
  WHERE thing:Identifier OR thing:Entity
  UNWIND [theirs IN of_two WHERE theirs[1] = thing] AS theirs
  WITH thing, min(touch.first_seen) AS first, min(theirs[0].first_seen) AS second
  ORDER BY thing.accounts, coalesce(thing.hash, thing.key)
  LIMIT 100
  RETURN 9 AS place,
    'both: ' + thing.kind + ' ' + coalesce(thing.value, thing.hash, thing.key)
      + CASE WHEN thing.hub THEN ' (hub)' ELSE '' END AS what,
    toString(first) AS first, toString(second) AS second, thing.accounts AS accounts
  UNION ALL
  UNWIND of_one AS mine
  WITH mine[0] AS dealing, mine[1] AS node, one, two
  WHERE node = two AND type(dealing) <> 'LINKED_TO'
  WITH dealing, startNode(dealing) = one AS sent
  LIMIT 50
  RETURN 10 AS place, 'sent: ' + toLower(type(dealing)) AS what,
    CASE WHEN sent THEN toString(dealing.count) END AS first,
    CASE WHEN NOT sent THEN toString(dealing.count) END AS second, null AS accounts
  UNION ALL
  UNWIND of_one AS mine
  WITH mine[0] AS link, mine[1] AS node, two
  WHERE node = two AND type(link) = 'LINKED_TO'
  WITH link
  LIMIT 10
  RETURN 11 AS place, 'linked: ' + link.because AS what, toString(link.weight) AS first,
    toString(link.weight) AS second, null AS accounts
}
RETURN what, first, second, accounts
ORDER BY place, accounts, what
LIMIT 170
