import Foundation
import Functions
import Helpdesk
import Manifest
import TestSupport

/// A function with an HTTP trigger, as functions.yaml and its shape declare it: what generated tests call.
struct Endpoint: Sendable, CustomStringConvertible {
    let name: String
    let method: String
    let path: PathPattern
    /// Whether it needs no token.
    let isPublic: Bool
    let isForAdmins: Bool
    /// Whether its answer may never end.
    let isStream: Bool
    /// How many bytes of JSON it takes.
    let bodyLimit: Int
    let input: InputDeclaration

    var description: String { "\(name) (\(method) \(path))" }

    /// Every endpoint of functions.yaml.
    static func all() throws -> [Endpoint] {
        let text = try String(contentsOfFile: Checkout.root + "/functions.yaml", encoding: .utf8)
        let types = Dictionary(uniqueKeysWithValues: Registry.functions.map { ($0.name, $0) })
        return try Manifest.parse(text).functions.compactMap { function in
            guard case .http(let trigger) = function.trigger, case .http(let hosted)? = types[function.name]?.hosted
            else {
                return nil
            }
            return Endpoint(
                name: function.name,
                method: trigger.method.rawValue,
                path: trigger.path,
                isPublic: function.access == .public,
                isForAdmins: function.access == .admin,
                isStream: function.timeout == nil,
                bodyLimit: function.bodyLimits.limit(for: "application/json"),
                input: hosted.input
            )
        }
    }

    /// The path's parameters other than the organisation, each with the table whose rows it names.
    var ids: [(parameter: String, table: String)] {
        var collection = ""
        var ids: [(parameter: String, table: String)] = []
        for segment in path.segments {
            switch segment {
            case .literal(let word): collection = word.replacing("-", with: "_")
            case .parameter("orgId", _): continue
            case .parameter("id", _): ids.append(("id", collection))
            case .parameter(let name, _): ids.append((name, Self.table(named: name)))
            }
        }
        return ids
    }

    var namesOrganisation: Bool { path.parameters.contains("orgId") }

    /// `deliveryId` names a row of `deliveries`.
    static func table(named id: String) -> String {
        var word = id.hasSuffix("Id") ? String(id.dropLast(2)) : id
        word = word.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
        return word.hasSuffix("y") ? word.dropLast() + "ies" : word + "s"
    }

    /// The path with these values; `nil` where one is missing.
    func path(_ values: [String: String]) -> String? {
        var text = ""
        for segment in path.segments {
            switch segment {
            case .literal(let word): text += "/" + word
            case .parameter(let name, _):
                guard let value = values[name] else { return nil }
                text += "/" + value
            }
        }
        return text
    }

    /// The path with well-formed ids that no row has, in this organisation.
    func pathToNowhere(in organisation: String) -> String {
        let ids = Dictionary(ids.map { ($0.parameter, "01936f5e-7a00-7000-8000-00000000dead") }) { first, _ in first }
        return path(ids.merging(["orgId": organisation]) { $1 }) ?? ""
    }

    var takesJSON: Bool {
        if case .json = input.body { true } else { false }
    }

    /// Bodies made of the fields' examples: the required members alone, with each optional one, and with all of them.
    ///
    /// Which of them is valid only the function knows: members may exclude each other.
    ///
    /// - Parameters:
    ///   - ids: an id for a table's name; a member without one is left out where it may be.
    ///   - fixed: a member that every body has.
    /// - Returns: one `nil` for a function without a JSON body.
    func bodies(ids: @escaping (String) -> String?, fixed: JSON.Member? = nil) -> [JSON?] {
        guard case .json(let fields, _) = input.body else { return [nil] }
        let maker = ExampleMaker(ids: ids, fallback: self.ids.last?.table)
        var required: [JSON.Member] = []
        var optional: [JSON.Member] = []
        for field in fields where field.name != fixed?.name {
            guard let value = maker.value(of: field) else { continue }
            let member = JSON.Member(field.name, value)
            if case .required = field.presence { required.append(member) } else { optional.append(member) }
        }
        if let fixed { required.append(fixed) }
        let single = optional.map { required + [$0] }
        return ([required] + single + (optional.count > 1 ? [required + optional] : [])).map { JSON.object($0) }
    }

    /// The members of the body that are ids or hold some.
    var bodyFieldsWithIds: [Field] {
        guard case .json(let fields, _) = input.body else { return [] }
        return fields.filter { Self.holdsIds($0.type) }
    }

    fileprivate static func holdsIds(_ type: FieldType) -> Bool {
        switch type {
        case .uuid: true
        case .list(let element, _): holdsIds(element)
        case .object(let fields): fields.contains { holdsIds($0.type) }
        default: false
        }
    }
}

/// Values of fields from their examples, with ids that exist.
struct ExampleMaker {
    let ids: (String) -> String?
    /// The table of an id whose name tells none.
    let fallback: String?

    /// `nil` for an optional field that there is no value for.
    func value(of field: Field) -> JSON? {
        switch field.type {
        case .uuid:
            if let id = ids(Endpoint.table(named: field.name)) { return .string(id) }
            guard case .required = field.presence else { return nil }
            return fallback.flatMap(ids).map { .string($0) }
        // Its members may exclude each other, so without ids it is taken as it is.
        case .object where !Endpoint.holdsIds(field.type) && field.example != nil: return field.example
        case .object(let fields):
            return .object(fields.compactMap { member in value(of: member).map { JSON.Member(member.name, $0) } })
        case .list(.uuid, _):
            return ids(Endpoint.table(named: field.name)).map { .array([.string($0)]) }
        case .list(.object(let fields), _):
            return .array([
                .object(fields.compactMap { member in value(of: member).map { JSON.Member(member.name, $0) } })
            ])
        default:
            return field.example == .null ? nil : field.example
        }
    }
}

extension APIClient {
    func call(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> Answer {
        try await send(
            method,
            path,
            body: body.map { Data($0.text.utf8) },
            headers: body == nil ? [:] : ["Content-Type": "application/json"]
        )
    }
}
