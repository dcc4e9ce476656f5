/// Where a queue lies in Redis: all its keys begin with ``base`` (BullMQ's layout).
///
/// On Redis Cluster the prefix or the queue's name needs a hash tag, so that one queue is one slot.
struct QueueName: Sendable, Hashable {
    let prefix: String
    let name: String

    var base: String { "\(prefix):\(name):" }
    var marker: String { base + "marker" }
}
