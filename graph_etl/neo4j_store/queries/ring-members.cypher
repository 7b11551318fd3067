// A ring as a table
// About: rings, 3
// Use when: you go through the members of a ring one by one, or hand them on.
// Param ring (text): id of the ring
// Param rare (whole number, default 50): an identifier that more accounts touch links nobody
// Param limit (whole number, default 100): rows at most
// Returns: table: one row a member, the firmest first: role, score, verdict, how many it dealt with, what it
//   shares with how many others
// Bound: `limit` of the first 5,000 members; shared are the 100 most telling nodes; the row says how many
//   members there are in all
MATCH (ring:Ring {id: $ring})
CALL (ring) {
  MATCH (ring)<-[membership:MEMBER_OF]-(member:Account)
  RETURN membership, member
  LIMIT 5000
}
WITH membership, member
ORDER BY membership.weight DESC, member.id
WITH collect(member) AS found, collect(membership) AS tied
WITH found[..$limit] AS members, tied[..$limit] AS memberships, size(found) AS in_all
CALL (members) {
  UNWIND members AS member
  CALL (member) {
    MATCH (member)-[:USED]->(thing)
    RETURN thing
    LIMIT 500
    UNION
    MATCH (member)--(thing)
    RETURN thing
    LIMIT 500
  }
  WITH DISTINCT member, thing
  WHERE (thing:Identifier OR thing:Entity) AND NOT thing.hub
  WITH thing, collect(member) AS sharing
  WHERE size(sharing) >= 2 AND (thing.accounts <= $rare OR thing.accounts <= 2 * size(sharing))
  WITH thing, sharing, toFloat(size(sharing)) * size(sharing) / thing.accounts AS telling
  ORDER BY telling DESC, coalesce(thing.hash, thing.key)
  LIMIT 100
  RETURN collect({
    what: thing.kind + ' ' + left(coalesce(thing.value, thing.hash, thing.key), 12),
    by: sharing
  }) AS shared
}
UNWIND range(0, size(members) - 1) AS place
WITH members, shared, in_all, members[place] AS member, memberships[place] AS membership
CALL (members, member) {
  MATCH (member)-[dealing]-(other)
  WITH members, dealing, other
  LIMIT 500
  WITH members, dealing, other
  WHERE other:Account AND type(dealing) <> 'LINKED_TO' AND other IN members
  RETURN count(DISTINCT other) AS dealt_with
}
RETURN member.id AS account, membership.role AS role, membership.weight AS weight, member.score AS score,
  member.verdict AS verdict, member.first_seen AS first_seen, dealt_with,
  [one IN shared WHERE member IN one.by | one.what + ' with ' + (size(one.by) - 1) + ' others'][..5] AS shares,
  in_all AS members_in_all
ORDER BY weight DESC, account
