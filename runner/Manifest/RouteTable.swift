/// Finds the function for a request's method and path.
///
/// A trie of segments for each method. A literal segment beats a parameter, a `uuid` or `integer` parameter beats a
/// `string` one; where the better one leads nowhere the next is tried, so `/orgs/analytics/tickets` and
/// `/orgs/:orgId/tickets` live side by side. Segments are percent-decoded one by one, so `%2F` never makes two of one.
/// A path with a slash at its end is another path than the one without.
package struct RouteTable: Sendable {
    private var trees: [RouteTree] = []
    /// The parameters' names of each function, from left to right.
    private var names: [Int: [String]] = [:]

    /// Compiles the HTTP functions among `functions`; those with other triggers are passed over.
    ///
    /// Of two functions with one method and indistinguishable paths the first counts; ``Manifest/parse(_:file:)`` refuses
    /// such files.
    package init(_ functions: [FunctionDeclaration]) {
        for (index, function) in functions.enumerated() {
            guard case .http(let trigger) = function.trigger else { continue }
            let method = trigger.method.rawValue
            let tree = trees.firstIndex { $0.method == method } ?? trees.endIndex
            if tree == trees.endIndex { trees.append(RouteTree(method: method)) }
            if trees[tree].add(trigger.path, index) { names[index] = trigger.path.parameters }
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

    /// The function for a request in whose path ids may be malformed: a `uuid` parameter takes any segment here.
    ///
    /// For a path that ``match(method:path:)`` doesn't know.
    package func matchLoosely(method: String, path: some StringProtocol) -> RouteMatch {
        Array(path.utf8).withUnsafeBufferPointer { match(method: method, path: $0, isLoose: true) }
    }

    /// The methods that a path answers to, for `Allow`: those of its functions, HEAD beside GET, and OPTIONS; in
    /// alphabetical order. Empty when there is no such path.
    package func allowedMethods(path: some StringProtocol) -> [String] {
        Array(path.utf8).withUnsafeBufferPointer { allowedMethods(path: $0) }
    }

    private func match(method: String, path: UnsafeBufferPointer<UInt8>, isLoose: Bool = false) -> RouteMatch {
        let wanted = method == "HEAD" ? "GET" : method
        for tree in trees where tree.method == wanted {
            if let (function, values) = tree.find(path, isLoose: isLoose), let names = names[function] {
                return .found(function, RouteParameters(names: names, values: values))
            }
        }
        let allow = allowedMethods(path: path, isLoose: isLoose)
        return allow.isEmpty ? .notFound : .wrongMethod(allow: allow)
    }

    private func allowedMethods(path: UnsafeBufferPointer<UInt8>, isLoose: Bool = false) -> [String] {
        var methods: [String] = []
        for tree in trees where tree.find(path, isLoose: isLoose) != nil {
            methods.append(tree.method)
            if tree.method == "GET" { methods.append("HEAD") }
        }
        return methods.isEmpty ? [] : (methods + ["OPTIONS"]).sorted()
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
