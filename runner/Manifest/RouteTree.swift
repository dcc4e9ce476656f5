/// The paths of one method.
///
/// Nodes, literals and their text lie in three flat arrays of plain numbers, so that a walk touches no reference count:
/// measured with 65 routes, finding `/orgs/:orgId/tickets/:ticketId/messages` takes half the time it took with nested
/// arrays.
struct RouteTree: Sendable {
    /// Indices into ``nodes``; negative is none.
    private struct Node: Sendable {
        var uuid: Int32 = -1
        var integer: Int32 = -1
        var string: Int32 = -1
        /// The first of its literals, which are chained.
        var literal: Int32 = -1
        /// Index of the function whose path ends here.
        var function: Int32 = -1
    }

    private struct Literal: Sendable {
        let start: Int32
        let count: Int32
        let node: Int32
        /// The parent's next literal.
        let next: Int32
    }

    let method: String
    private var nodes = [Node()]
    private var literals: [Literal] = []
    private var text: [UInt8] = []

    init(method: String) {
        self.method = method
    }

    /// Adds a path; false when another function has it already.
    mutating func add(_ path: PathPattern, _ function: Int) -> Bool {
        var node = 0
        for segment in path.segments { node = child(of: node, for: segment) }
        guard nodes[node].function < 0 else { return false }
        nodes[node].function = Int32(function)
        return true
    }

    /// The child that `segment` leads to, made if there is none yet.
    private mutating func child(of parent: Int, for segment: PathPattern.Segment) -> Int {
        let new = Int32(nodes.count)
        switch segment {
        case .literal(let literal):
            let bytes = Array(literal.utf8)
            var index = nodes[parent].literal
            while index >= 0 {
                let known = literals[Int(index)]
                if text[Int(known.start)..<Int(known.start + known.count)].elementsEqual(bytes) {
                    return Int(known.node)
                }
                index = known.next
            }
            let next = nodes[parent].literal
            nodes[parent].literal = Int32(literals.count)
            literals.append(Literal(start: Int32(text.count), count: Int32(bytes.count), node: new, next: next))
            text += bytes
        case .parameter(_, let type):
            let slot = Self.slot(of: type)
            if nodes[parent][keyPath: slot] >= 0 { return Int(nodes[parent][keyPath: slot]) }
            nodes[parent][keyPath: slot] = new
        }
        nodes.append(Node())
        return Int(new)
    }

    private static func slot(of type: PathPattern.ParameterType) -> WritableKeyPath<Node, Int32> {
        switch type {
        case .uuid: \.uuid
        case .integer: \.integer
        case .string: \.string
        }
    }

    /// The function for a path and the values of its parameters; where it is loose, a `uuid` may be anything.
    func find(_ path: UnsafeBufferPointer<UInt8>, isLoose: Bool = false) -> (function: Int, values: [String])? {
        guard path.first == UInt8(ascii: "/") else { return nil }
        return nodes.withUnsafeBufferPointer { nodes in
            literals.withUnsafeBufferPointer { literals in
                text.withUnsafeBufferPointer { text in
                    var walk = Walk(path: path, nodes: nodes, literals: literals, text: text, isLoose: isLoose)
                    let function = path.count == 1 ? nodes[0].function : walk.find(from: 0, at: 1)
                    return function < 0 ? nil : (Int(function), walk.values)
                }
            }
        }
    }

    /// One walk through the tree, with the values of the parameters that it has passed.
    private struct Walk {
        let path: UnsafeBufferPointer<UInt8>
        let nodes: UnsafeBufferPointer<Node>
        let literals: UnsafeBufferPointer<Literal>
        let text: UnsafeBufferPointer<UInt8>
        let isLoose: Bool
        var values: [String] = []

        /// The function that the segments from `start` on lead to; negative is none.
        mutating func find(from node: Int32, at start: Int) -> Int32 {
            var end = start
            var isEncoded = false
            while end < path.count, path[end] != UInt8(ascii: "/") {
                if path[end] == UInt8(ascii: "%") { isEncoded = true }
                end += 1
            }
            let segment = UnsafeBufferPointer(rebasing: path[start..<end])
            guard isEncoded else { return find(from: node, segment, end) }
            guard let decoded = percentDecoded(segment) else { return -1 }
            return decoded.withUnsafeBufferPointer { find(from: node, $0, end) }
        }

        private mutating func find(from index: Int32, _ segment: UnsafeBufferPointer<UInt8>, _ end: Int) -> Int32 {
            let node = nodes[Int(index)]
            var literal = node.literal
            while literal >= 0 {
                let candidate = literals[Int(literal)]
                if isSame(candidate, segment) {
                    let function = go(to: candidate.node, end)
                    if function >= 0 { return function }
                    break
                }
                literal = candidate.next
            }
            if node.uuid >= 0, isUUID(segment) || (isLoose && !segment.isEmpty) {
                let function = take(segment, node.uuid, end)
                if function >= 0 { return function }
            }
            if node.integer >= 0, isInteger(segment) {
                let function = take(segment, node.integer, end)
                if function >= 0 { return function }
            }
            return node.string >= 0 && !segment.isEmpty ? take(segment, node.string, end) : -1
        }

        /// Goes on behind the segment that ended at `end`.
        private mutating func go(to node: Int32, _ end: Int) -> Int32 {
            end == path.count ? nodes[Int(node)].function : find(from: node, at: end + 1)
        }

        private mutating func take(_ segment: UnsafeBufferPointer<UInt8>, _ child: Int32, _ end: Int) -> Int32 {
            guard let value = String(validating: segment, as: UTF8.self) else { return -1 }
            values.append(value)
            let function = go(to: child, end)
            if function < 0 { values.removeLast() }
            return function
        }

        private func isSame(_ literal: Literal, _ segment: UnsafeBufferPointer<UInt8>) -> Bool {
            guard segment.count == Int(literal.count) else { return false }
            let start = Int(literal.start)
            for offset in segment.indices where segment[offset] != text[start + offset] { return false }
            return true
        }
    }
}

/// 8-4-4-4-12 hexadecimal digits of either case.
private func isUUID(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    guard text.count == 36 else { return false }
    let hyphen = UInt8(ascii: "-")
    guard text[8] == hyphen, text[13] == hyphen, text[18] == hyphen, text[23] == hyphen else { return false }
    var hyphens = 0
    for character in text {
        if character == hyphen { hyphens += 1 } else if hexDigit(character) == nil { return false }
    }
    return hyphens == 4
}

private func isInteger(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    (1...18).contains(text.count) && text.allSatisfy { (0x30...0x39).contains($0) }
}

private func hexDigit(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
}

/// The bytes that `%XX` stand for; `nil` where two digits don't follow, and for a zero byte, which no text may hold.
private func percentDecoded(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(text.count)
    var index = 0
    while index < text.count {
        guard text[index] == UInt8(ascii: "%") else {
            decoded.append(text[index])
            index += 1
            continue
        }
        guard
            index + 2 < text.count, let high = hexDigit(text[index + 1]), let low = hexDigit(text[index + 2]),
            high << 4 | low != 0
        else { return nil }
        decoded.append(high << 4 | low)
        index += 3
    }
    return decoded
}
