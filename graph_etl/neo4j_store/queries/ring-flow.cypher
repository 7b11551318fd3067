// What flows inside a ring
// About: rings, 6
// Use when: you ask who collects: gifts, payments, transfers from member to member.
// Param ring (text): id of the ring
// Param limit (whole number, default 100): rows at most
// Returns: graph: one row a sender, a receiver and a type, the largest amount first, then the most frequent
// Bound: `limit` rows, at most 200, between 200 members, the firmest first; 500 relationships of each
MATCH (ring:Ring {id: $ring})
CALL (ring) {
  MATCH (ring)<-[membership:MEMBER_OF]-(member:Account)
  RETURN membership, member
  LIMIT 5000
}
WITH membership, member
ORDER BY membership.weight DESC, member.id
LIMIT 200
WITH collect(member) AS members
UNWIND members AS sender
CALL (sender) {
  MATCH (sender)-[flow]->(receiver)
  RETURN flow, receiver
  LIMIT 500
}
WITH members, sender, flow, receiver
WHERE receiver:Account AND type(flow) <> 'LINKED_TO' AND receiver IN members
RETURN sender, flow, receiver, type(flow) AS type, flow.count AS times, flow.amount AS amount,
  flow.first_seen AS first_seen, flow.last_seen AS last_seen
ORDER BY amount IS NULL, amount DESC, times DESC, sender.id, receiver.id, type
LIMIT CASE WHEN $limit < 200 THEN $limit ELSE 200 END
