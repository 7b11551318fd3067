// The way from an account to the nearest known bad one
// About: accounts, 2
// Use when: an account looks doubtful and you ask whom of the confirmed bad ones it leads to.
// Param account (text): id of the account
// Param rare (whole number, default 50): an identifier that more accounts touch links nobody
// Returns: graph: of the shortest ways over shared nodes and dealings the one over the rarest nodes, and its
//   steps from account to account
// Bound: 1 row, 7 nodes; at most 3 steps, 100 accounts a step, the 20 rarest nodes an account; never through
//   a hub
MATCH (account:Account {id: $account})
WITH account, [{at: account, trail: [account], common: 0}] AS start
CALL (account, start) {
  UNWIND start AS one
  WITH account, one, one.at AS here
  CALL (here) {
    CALL (here) {
      MATCH (here)-[touch:USED]->(thing)
      RETURN touch, thing
      LIMIT 200
      UNION
      MATCH (here)-[touch]-(thing)
      RETURN touch, thing
      LIMIT 200
    }
    WITH touch, thing
    WHERE (thing:Identifier OR thing:Entity AND type(touch) <> 'USED')
      AND NOT thing.hub AND thing.accounts <= $rare
    ORDER BY thing.accounts
    LIMIT 20
    CALL (thing) {
      MATCH (thing)-[touched]-(other)
      RETURN touched, other
      LIMIT 300
    }
    RETURN other, [touch, thing, touched] AS way, thing.accounts AS common
    UNION ALL
    CALL (here) {
      MATCH (here)-[dealing]-(other)
      RETURN dealing, other
      LIMIT 300
    }
    WITH dealing, other
    WHERE type(dealing) <> 'LINKED_TO'
    RETURN other, [dealing] AS way, 2 AS common
  }
  WITH account, one, way, other, CASE WHEN common > one.common THEN common ELSE one.common END AS common
  WHERE other:Account AND other <> account
  WITH one, way, other, common
  ORDER BY common, one.at.id
  WITH other, collect([one.trail, way, common])[0] AS reached
  ORDER BY coalesce(other.verdict = 'bad', false) DESC, other.hub, other.id
  LIMIT 100
  RETURN collect({at: other, trail: reached[0] + reached[1] + other, common: reached[2]}) AS first
}
CALL (account, first) {
  UNWIND CASE WHEN any(one IN first WHERE one.at.verdict = 'bad') THEN []
    ELSE [one IN first WHERE NOT one.at.hub] END AS one
  WITH account, one, one.at AS here
  CALL (here) {
    CALL (here) {
      MATCH (here)-[touch:USED]->(thing)
      RETURN touch, thing
      LIMIT 200
      UNION
      MATCH (here)-[touch]-(thing)
      RETURN touch, thing
      LIMIT 200
    }
    WITH touch, thing
    WHERE (thing:Identifier OR thing:Entity AND type(touch) <> 'USED')
      AND NOT thing.hub AND thing.accounts <= $rare
    ORDER BY thing.accounts
    LIMIT 20
    CALL (thing) {
      MATCH (thing)-[touched]-(other)
      RETURN touched, other
      LIMIT 300
    }
    RETURN other, [touch, thing, touched] AS way, thing.accounts AS common
    UNION ALL
    CALL (here) {
      MATCH (here)-[dealing]-(other)
      RETURN dealing, other
      LIMIT 300
    }
    WITH dealing, other
    WHERE type(dealing) <> 'LINKED_TO'
    RETURN other, [dealing] AS way, 2 AS common
  }
  WITH account, one, way, other, CASE WHEN common > one.common THEN common ELSE one.common END AS common
  WHERE other:Account AND other <> account
  WITH one, way, other, common
  ORDER BY common, one.at.id
  WITH other, collect([one.trail, way, common])[0] AS reached
  ORDER BY coalesce(other.verdict = 'bad', false) DESC, other.hub, other.id
  LIMIT 100
  RETURN collect({at: other, trail: reached[0] + reached[1] + other, common: reached[2]}) AS second
}
CALL (account, second) {
  UNWIND CASE WHEN any(one IN second WHERE one.at.verdict = 'bad') THEN []
    ELSE [one IN second WHERE NOT one.at.hub] END AS one
  WITH account, one, one.at AS here
  CALL (here) {
    CALL (here) {
      MATCH (here)-[touch:USED]->(thing)
      RETURN touch, thing
      LIMIT 200
      UNION
      MATCH (here)-[touch]-(thing)
      RETURN touch, thing
      LIMIT 200
    }
    WITH touch, thing
    WHERE (thing:Identifier OR thing:Entity AND type(touch) <> 'USED')
      AND NOT thing.hub AND thing.accounts <= $rare
    ORDER BY thing.accounts
    LIMIT 20
    CALL (thing) {
      MATCH (thing)-[touched]-(other)
      RETURN touched, other
      LIMIT 300
    }
    RETURN other, [touch, thing, touched] AS way, thing.accounts AS common
    UNION ALL
    CALL (here) {
      MATCH (here)-[dealing]-(other)
      RETURN dealing, other
      LIMIT 300
    }
    WITH dealing, other
    WHERE type(dealing) <> 'LINKED_TO'
    RETURN other, [dealing] AS way, 2 AS common
  }
  WITH account, one, way, other, CASE WHEN common > one.common THEN common ELSE one.common END AS common
  WHERE other:Account AND other <> account
  WITH one, way, other, common
  ORDER BY common, one.at.id
  WITH other, collect([one.trail, way, common])[0] AS reached
  ORDER BY coalesce(other.verdict = 'bad', false) DESC, other.hub, other.id
  LIMIT 100
  RETURN collect({at: other, trail: reached[0] + reached[1] + other, common: reached[2]}) AS third
}
UNWIND [[1, first], [2, second], [3, third]] AS step
UNWIND step[1] AS one
WITH step[0] AS steps, one
WHERE one.at.verdict = 'bad'
RETURN one.at.id AS bad_account, steps, one.trail AS way
ORDER BY steps, one.common, bad_account
LIMIT 1
