/// The path of an HTTP function: `/orgs/:orgId/tickets`.
package struct PathPattern: Sendable, Hashable, CustomStringConvertible {
    /// What a parameter's segment must look like; a segment that doesn't is another path.
    package enum ParameterType: String, Sendable, CaseIterable {
        case uuid
        /// A whole number of at most 18 digits, without a sign.
        case integer
        /// Anything but an empty segment.
        case string
    }

    package enum Segment: Sendable, Hashable {
        case literal(String)
        case parameter(String, ParameterType)
    }

    package let segments: [Segment]

    package init(_ segments: [Segment]) {
        self.segments = segments
    }

    /// The names of its parameters, from left to right.
    package var parameters: [String] {
        segments.compactMap { segment in
            guard case .parameter(let name, _) = segment else { return nil }
            return name
        }
    }

    package var description: String {
        guard !segments.isEmpty else { return "/" }
        return segments.map { segment in
            switch segment {
            case .literal(let text): "/\(text)"
            case .parameter(let name, _): "/:\(name)"
            }
        }.joined()
    }

    /// As OpenAPI writes it: `/orgs/{orgId}/tickets`.
    package var template: String {
        guard !segments.isEmpty else { return "/" }
        return segments.map { segment in
            switch segment {
            case .literal(let text): "/\(text)"
            case .parameter(let name, _): "/{\(name)}"
            }
        }.joined()
    }

    /// The pattern without its parameters' names: two routes of one method with equal shapes match the same paths.
    var shape: [Segment] {
        segments.map { segment in
            guard case .parameter(_, let type) = segment else { return segment }
            return .parameter("", type)
        }
    }
}
