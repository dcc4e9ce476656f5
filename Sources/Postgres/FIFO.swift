/// A queue in a ring that grows when full and is then kept, so that a busy connection allocates nothing for it.
struct FIFO<Element> {
    private var ring: [Element?] = []
    private var head = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    var first: Element? { count == 0 ? nil : ring[head] }

    /// The element at a position counted from the head; out of range traps.
    subscript(position: Int) -> Element? {
        get { ring[(head + position) % ring.count] }
        set { ring[(head + position) % ring.count] = newValue }
    }

    mutating func append(_ element: Element) {
        if count == ring.count { grow() }
        ring[(head + count) % ring.count] = element
        count += 1
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = ring[head]
        ring[head] = nil
        head = (head + 1) % ring.count
        count -= 1
        return element
    }

    mutating func removeAll(where isRemoved: (Element) -> Bool) {
        for _ in 0..<count {
            guard let element = popFirst() else { return }
            if !isRemoved(element) { append(element) }
        }
    }

    private mutating func grow() {
        var larger: [Element?] = []
        larger.reserveCapacity(max(16, 2 * ring.count))
        for position in 0..<count { larger.append(self[position]) }
        larger.append(contentsOf: repeatElement(nil, count: max(16, 2 * ring.count) - count))
        ring = larger
        head = 0
    }
}

extension FIFO: Sendable where Element: Sendable {}
