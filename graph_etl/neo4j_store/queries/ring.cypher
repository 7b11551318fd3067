// A ring as a graph
// About: rings, 2
// Use when: you have a ring's id, from an alert, the console or the list of rings, and want to see what holds
//   it together.
// Param ring (text): id of the ring
// Param rare (whole number, default 50): an identifier that more accounts touch links nobody
// Returns: graph: the ring, its members, what two or more of them share, what they sent each other, their
//   verdicts
// Bound: 261 nodes: 120 members, the firmest first, 80 shared nodes, the most telling first, 60 verdicts; the
//   row says how many more
MATCH (ring:Ring {id: $ring})
CALL (ring) {
  MATCH (ring)<-[membership:MEMBER_OF]-(member:Account)
  RETURN membership, member
  LIMIT 5000
}
WITH ring, membership, member
ORDER BY membership.weight DESC, member.id
WITH ring, collect(member) AS found, collect(membership) AS tied
WITH ring, found[..120] AS members, tied[..120] AS memberships, size(found) AS members_in_all
CALL (members) {
  UNWIND members AS member
  CALL (member) {
    MATCH (member)-[touch:USED]->(thing)
    RETURN touch, thing
    LIMIT 500
    UNION
    MATCH (member)-[touch]-(thing)
    RETURN touch, thing
    LIMIT 500
  }
  WITH member, touch, thing
  WHERE (thing:Identifier OR thing:Entity) AND NOT thing.hub
  WITH thing, count(DISTINCT member) AS sharing, collect(touch) AS touches
  WHERE sharing >= 2 AND (thing.accounts <= $rare OR thing.accounts <= 2 * sharing)
  WITH thing, touches, toFloat(sharing) * sharing / thing.accounts AS telling
  ORDER BY telling DESC, coalesce(thing.hash, thing.key)
  WITH collect(thing) AS found, collect(touches) AS touching
  RETURN found[..80] AS shared, touching[..80] AS touches, size(found) AS shared_in_all
}
CALL (members) {
  UNWIND members AS member
  CALL (member) {
    MATCH (member)-[dealing]->(other)
    WITH dealing, other
    LIMIT 500
    WITH dealing, other
    WHERE other:Account AND type(dealing) <> 'LINKED_TO'
    RETURN dealing, other
  }
  WITH members, dealing, other
  WHERE other IN members
  WITH dealing
  LIMIT 500
  RETURN collect(dealing) AS dealings
}
CALL (members) {
  UNWIND members AS member
  CALL (member) {
    MATCH (member)-[gave:HAS_VERDICT]->(verdict:Verdict)
    RETURN gave, verdict
    LIMIT 100
  }
  WITH member, gave, verdict
  ORDER BY verdict.known_at DESC, verdict.id
  WITH member, collect(verdict)[0] AS verdict, collect(gave)[0] AS gave
  LIMIT 60
  RETURN collect(verdict) AS verdicts, collect(gave) AS given
}
RETURN ring, members, memberships, shared, touches, dealings, verdicts, given,
  members_in_all - size(members) AS members_not_shown, shared_in_all - size(shared) AS shared_not_shown
