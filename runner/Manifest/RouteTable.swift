/// Finds the function for a request's method and path.
///
/// A trie of segments for each method. A literal segment beats a parameter, a `uuid` or `integer` parameter beats a
/// `string` one; where the better one leads nowhere the next is tried, so `/orgs/analytics/tickets` and
/// `/orgs/:orgId/tickets` live side by side. Segments are percent-decoded one by one, so `%2F` never makes two of one.
/// A path with a slash at its end is another path than the one without.
package struct RouteTable: Sendable {
    private struct Literal: Sendable {
        let text: [UInt8]
        let node: Int
    }

    private struct Node: Sendable {
        var literals: [Literal] = []
        var uuid: Int?
        var integer: Int?
        var string: Int?
        /// Index of the function whose path ends here.
        var function: Int?
    }

    private struct Tree: Sendable {
        let method: String
        var nodes = [Node()]

        /// The child that `segment` leads to, made if there is none yet.
        mutating func child(of node: Int, for segment: PathPattern.Segment) -> Int {
            let next = nodes.count
            switch segment {
            case .literal(let text):
                let bytes = Array(text.utf8)
                if let literal = nodes[node].literals.first(where: { $0.text == bytes }) { return literal.node }
                nodes[node].literals.append(Literal(text: bytes, node: next))
            case .parameter(_, .uuid):
                if let child = nodes[node].uuid { return child }
                nodes[node].uuid = next
            case .parameter(_, .integer):
                if let child = nodes[node].integer { return child }
                nodes[node].integer = next
            case .parameter(_, .string):
                if let child = nodes[node].string { return child }
                nodes[node].string = next
            }
            nodes.append(Node())
            return next
        }
    }

    private var trees: [Tree] = []
    private var names: [Int: [String]] = [:]

    /// Compiles the HTTP functions among `functions`; those with other triggers are passed over.
    ///
    /// Of two functions with one method and indistinguishable paths the first counts; ``Manifest/parse(_:file:)`` refuses
    /// such files.
    package init(_ functions: [FunctionDeclaration]) {
        for (index, function) in functions.enumerated() {
            guard case .http(let trigger) = function.trigger else { continue }
            add(trigger, index)
        }
    }

    private mutating func add(_ trigger: HTTPTrigger, _ function: Int) {
        let method = trigger.method.rawValue
        let tree = trees.firstIndex { $0.method == method } ?? trees.endIndex
        if tree == trees.endIndex { trees.append(Tree(method: method)) }
        var node = 0
        for segment in trigger.path.segments {
            node = trees[tree].child(of: node, for: segment)
        }
        if trees[tree].nodes[node].function == nil {
            trees[tree].nodes[node].function = function
            names[function] = trigger.path.parameters
        }
    }

    /// The function for a request.
    ///
    /// - Parameters:
    ///   - method: as in the request, upper case. HEAD is served by the functions for GET.
    ///   - path: still percent-encoded, without the query.
    /// - Returns: for a path that exists with other methods only, OPTIONS included, ``RouteMatch/wrongMethod(allow:)``.
    package func match(method: String, path: some StringProtocol) -> RouteMatch {
        if let match = path.utf8.withContiguousStorageIfAvailable({ match(method: method, path: $0) }) { return match }
        return Array(path.utf8).withUnsafeBufferPointer { match(method: method, path: $0) }
    }

    /// The methods that a path answers to, for `Allow`: those of its functions, HEAD beside GET, and OPTIONS. Empty when
    /// there is no such path.
    package func allowedMethods(path: some StringProtocol) -> [String] {
        let bytes = Array(path.utf8)
        return bytes.withUnsafeBufferPointer { path in
            withSegments(of: path) { segments in allowed(segments, in: path) } ?? []
        }
    }

    private func match(method: String, path: UnsafeBufferPointer<UInt8>) -> RouteMatch {
        let wanted = method == "HEAD" ? "GET" : method
        return withSegments(of: path) { segments in
            if let tree = trees.first(where: { $0.method == wanted }) {
                var search = Search(path: path, segments: segments, tree: tree.nodes)
                if let function = search.find(from: 0, segment: 0), let names = names[function] {
                    return .found(function, RouteParameters(names: names, values: search.values))
                }
            }
            let allow = allowed(segments, in: path)
            return allow.isEmpty ? .notFound : .wrongMethod(allow: allow)
        } ?? .notFound
    }

    private func allowed(_ segments: [Range<Int>], in path: UnsafeBufferPointer<UInt8>) -> [String] {
        var methods: [String] = []
        for tree in trees {
            var search = Search(path: path, segments: segments, tree: tree.nodes)
            guard search.find(from: 0, segment: 0) != nil else { continue }
            methods.append(tree.method)
            if tree.method == "GET" { methods.append("HEAD") }
        }
        return methods.isEmpty ? [] : (methods + ["OPTIONS"]).sorted()
    }

    /// Hands the places of the path's segments to `body`; `nil` when it doesn't begin with a slash.
    private func withSegments<Result>(of path: UnsafeBufferPointer<UInt8>, _ body: ([Range<Int>]) -> Result) -> Result?
    {
        guard path.first == UInt8(ascii: "/") else { return nil }
        var segments: [Range<Int>] = []
        segments.reserveCapacity(8)
        guard path.count > 1 else { return body(segments) }
        var start = 1
        for index in 1..<path.count where path[index] == UInt8(ascii: "/") {
            segments.append(start..<index)
            start = index + 1
        }
        segments.append(start..<path.count)
        return body(segments)
    }
}

extension RouteTable {
    /// One walk through a tree, with the values of the parameters that it has passed.
    private struct Search {
        let path: UnsafeBufferPointer<UInt8>
        let segments: [Range<Int>]
        let tree: [Node]
        var values: [String] = []

        mutating func find(from node: Int, segment index: Int) -> Int? {
            guard index < segments.count else { return tree[node].function }
            let raw = UnsafeBufferPointer(rebasing: path[segments[index]])
            guard raw.contains(UInt8(ascii: "%")) else { return find(from: node, segment: index, as: raw) }
            guard let decoded = percentDecoded(raw) else { return nil }
            return decoded.withUnsafeBufferPointer { find(from: node, segment: index, as: $0) }
        }

        private mutating func find(from node: Int, segment index: Int, as text: UnsafeBufferPointer<UInt8>) -> Int? {
            for literal in tree[node].literals where literal.text.elementsEqual(text) {
                if let function = find(from: literal.node, segment: index + 1) { return function }
            }
            if let child = tree[node].uuid, isUUID(text), let function = take(text, child, index) { return function }
            if let child = tree[node].integer, isInteger(text), let function = take(text, child, index) {
                return function
            }
            if let child = tree[node].string, !text.isEmpty, let function = take(text, child, index) { return function }
            return nil
        }

        private mutating func take(_ text: UnsafeBufferPointer<UInt8>, _ child: Int, _ index: Int) -> Int? {
            guard let value = String(validating: text, as: UTF8.self) else { return nil }
            values.append(value)
            if let function = find(from: child, segment: index + 1) { return function }
            values.removeLast()
            return nil
        }
    }
}

/// What the table says to a request.
package enum RouteMatch: Sendable, Equatable {
    /// Index of the function in the list that the table was made of.
    case found(Int, RouteParameters)
    /// The path exists with these methods, in alphabetical order, HEAD and OPTIONS among them.
    case wrongMethod(allow: [String])
    case notFound
}

/// The parameters in a path, percent-decoded, from left to right.
package struct RouteParameters: Sendable, Equatable, Sequence {
    private let names: [String]
    private let values: [String]

    init(names: [String], values: [String]) {
        self.names = names
        self.values = values
    }

    package subscript(name: String) -> String? {
        names.firstIndex(of: name).map { values[$0] }
    }

    package var count: Int { values.count }

    package func makeIterator() -> Zip2Sequence<[String], [String]>.Iterator {
        zip(names, values).makeIterator()
    }
}

/// 8-4-4-4-12 hexadecimal digits of either case.
private func isUUID(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    guard text.count == 36 else { return false }
    for (index, character) in text.enumerated() {
        switch index {
        case 8, 13, 18, 23:
            guard character == UInt8(ascii: "-") else { return false }
        default:
            guard hexDigit(character) != nil else { return false }
        }
    }
    return true
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
