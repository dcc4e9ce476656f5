package import Foundation
package import JSON
import Postgres

/// Checks values against their declared types and brings them into the form in which they are stored.
///
/// Collects every fault instead of stopping at the first.
package struct FieldCheck: Sendable {
    package private(set) var faults: [Failure.Fault] = []
    private let place: @Sendable (String) -> Failure.Fault.Place

    /// For a body, whose faults are told by JSON pointer.
    package static var body: FieldCheck { FieldCheck { .body($0) } }

    package init(_ place: @escaping @Sendable (String) -> Failure.Fault.Place) {
        self.place = place
    }

    package mutating func report(_ pointer: String, _ message: String) {
        faults.append(Failure.Fault(place(pointer), message))
    }

    /// Whether nothing has been reported there.
    package func isFine(_ pointer: String) -> Bool { !faults.contains { $0.place == place(pointer) } }

    /// Reports a time in `body` that has come already.
    package mutating func future(_ member: String, of body: JSON, now: Date) {
        guard let time = body[member]?.string.flatMap(RFC3339.parse), time <= now else { return }
        report("/" + escaped(member), "must be in the future")
    }

    /// The members of `value` that `fields` declare, or an empty list where it is no object.
    package mutating func object(_ value: JSON, _ fields: [Field], at pointer: String = "") -> [JSON.Member] {
        guard case .object(let members) = value else {
            report(pointer, "must be an object, not \(value.kind)")
            return []
        }
        for member in members where !fields.contains(where: { $0.name == member.name }) {
            report(pointer + "/" + escaped(member.name), "is not a known member")
        }
        return fields.compactMap { field in
            let here = pointer + "/" + escaped(field.name)
            guard let value = value[field.name] else {
                if case .required = field.presence { report(here, "is required") }
                return nil
            }
            guard value != .null else {
                switch field.presence {
                case .required: report(here, "is required")
                case .optional: break
                case .patch(clearable: true): return JSON.Member(field.name, .null)
                case .patch(clearable: false): report(here, "can't be null")
                }
                return nil
            }
            return self.value(value, field.type, at: here).map { JSON.Member(field.name, $0) }
        }
    }

    /// The value in its stored form, or `nil` after a fault was reported.
    package mutating func value(_ value: JSON, _ type: FieldType, at pointer: String) -> JSON? {
        switch type {
        case .json: return value
        case .object(let fields): return .object(object(value, fields, at: pointer))
        case .list(let element, let count):
            guard case .array(let elements) = value else { return wrong(value, "an array", at: pointer) }
            guard count.contains(elements.count) else {
                report(pointer, "must have \(span(count)) elements, not \(elements.count)")
                return nil
            }
            return .array(
                elements.enumerated().compactMap { index, each in self.value(each, element, at: "\(pointer)/\(index)") }
            )
        case .boolean:
            guard case .bool = value else { return wrong(value, "a boolean", at: pointer) }
            return value
        case .integer(let range):
            guard case .number = value else { return wrong(value, "an integer", at: pointer) }
            guard let number = value.integer, range.contains(number) else {
                report(pointer, "must be an integer in \(span(range))")
                return nil
            }
            return value
        case .text, .uuid, .choice, .idOr, .time, .email, .phone, .url, .timeZone:
            guard case .string(let text) = value else { return wrong(value, "a string", at: pointer) }
            return self.text(text, type, at: pointer).map(JSON.string)
        }
    }

    /// A scalar given as text, in a query or path: numbers and booleans are spelled out.
    package mutating func parameter(_ text: String, _ type: FieldType, at name: String) -> JSON? {
        switch type {
        case .integer(let range):
            guard let number = Int(text), range.contains(number) else {
                report(name, "must be an integer in \(span(range))")
                return nil
            }
            return .number(String(number))
        case .boolean:
            guard text == "true" || text == "false" else {
                report(name, "must be true or false")
                return nil
            }
            return .bool(text == "true")
        case .list(let element, _):
            let parts = text.split(separator: ",", omittingEmptySubsequences: false)
            return .array(parts.compactMap { parameter(String($0), element, at: name) })
        case .time:
            guard QueryTime(text) != nil else {
                report(name, "must be an RFC 3339 time or a date such as 2026-11-22")
                return nil
            }
            return .string(text)
        case .json, .object: return .string(text)
        default: return self.text(text, type, at: name).map(JSON.string)
        }
    }

    private mutating func text(_ text: String, _ type: FieldType, at pointer: String) -> String? {
        switch type {
        case .text(let length, let rule): return free(text, length, rule, at: pointer)
        case .uuid:
            guard let uuid = UUID(uuidString: text), text.utf8.count == 36 else {
                report(pointer, "must be a UUID")
                return nil
            }
            return uuid.uuidString.lowercased()
        case .choice(let words):
            guard words.contains(text) else {
                report(pointer, "must be one of \(words.joined(separator: ", "))")
                return nil
            }
            return text
        case .idOr(let words):
            if words.contains(text) { return text }
            guard let uuid = UUID(uuidString: text), text.utf8.count == 36 else {
                report(pointer, "must be a UUID or one of \(words.joined(separator: ", "))")
                return nil
            }
            return uuid.uuidString.lowercased()
        case .time:
            guard let date = RFC3339.parse(text) else {
                report(pointer, "must be an RFC 3339 time such as 2026-11-22T14:45:00Z")
                return nil
            }
            return date.rfc3339
        case .email:
            guard Self.isEmail(text) else {
                report(pointer, "must be an e-mail address")
                return nil
            }
            return text
        case .phone:
            guard let phone = PhoneNumber.normalised(text) else {
                report(pointer, "must be a phone number: + and 7 to 15 digits")
                return nil
            }
            return phone
        case .url:
            guard let url = URL(string: text), let scheme = url.scheme?.lowercased(),
                ["http", "https"].contains(scheme),
                url.host?.isEmpty == false, text.utf8.count <= 2048,
                !text.unicodeScalars.contains(where: {
                    $0.properties.isWhitespace || $0.properties.generalCategory == .control
                })
            else {
                report(pointer, "must be an http or https address")
                return nil
            }
            return text
        case .timeZone:
            guard text.contains("/") || Self.shortZones.contains(text), TimeZone(identifier: text) != nil else {
                report(pointer, "must be an IANA time zone such as Europe/Berlin")
                return nil
            }
            return text
        default: return text
        }
    }

    /// The names without a slash in the IANA database (2024a). Foundation also takes offsets such as `GMT+3`, which no
    /// other part of the product knows.
    private static let shortZones: Set<String> = [
        "CET", "CST6CDT", "Cuba", "EET", "EST", "EST5EDT", "Egypt", "Eire", "GB", "GMT", "GMT0", "Greenwich", "HST",
        "Hongkong", "Iceland", "Iran", "Israel", "Jamaica", "Japan", "Kwajalein", "Libya", "MET", "MST", "MST7MDT",
        "NZ",
        "Navajo", "PRC", "PST8PDT", "Poland", "Portugal", "ROC", "ROK", "Singapore", "Turkey", "UCT", "UTC",
        "Universal",
        "W-SU", "WET", "Zulu",
    ]

    private mutating func free(_ text: String, _ length: ClosedRange<Int>, _ rule: TextRule, at pointer: String)
        -> String?
    {
        let count = text.unicodeScalars.count
        guard length.contains(count) else {
            report(pointer, "must have \(span(length)) characters, not \(count)")
            return nil
        }
        if case .opaque = rule {
            guard !text.unicodeScalars.contains("\0") else {
                report(pointer, "must not contain U+0000")
                return nil
            }
            return text
        }
        let isControl = { (scalar: Unicode.Scalar) in
            scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t"
        }
        guard !text.unicodeScalars.contains(where: isControl) else {
            report(pointer, "must not contain control characters")
            return nil
        }
        if case .name = rule, text.unicodeScalars.allSatisfy(\.properties.isWhitespace) {
            report(pointer, "must not be blank")
            return nil
        }
        return text
    }

    private mutating func wrong(_ value: JSON, _ expected: String, at pointer: String) -> JSON? {
        report(pointer, "must be \(expected), not \(value.kind)")
        return nil
    }

    private func span(_ range: ClosedRange<Int>) -> String {
        range.lowerBound == range.upperBound ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
    }

    /// RFC 6901: `~` and `/` inside a name.
    private func escaped(_ name: String) -> String {
        guard name.contains(where: { $0 == "~" || $0 == "/" }) else { return name }
        return name.replacing("~", with: "~0").replacing("/", with: "~1")
    }

    /// One `@` between two parts without spaces or controls, a dot in the domain, at most 254 bytes (RFC 5321 §4.5.3).
    private static func isEmail(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, text.utf8.count <= 254, !parts[0].isEmpty, parts[0].utf8.count <= 64 else {
            return false
        }
        let domain = parts[1].split(separator: ".", omittingEmptySubsequences: false)
        guard domain.count >= 2, domain.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 63 }) else { return false }
        return text.unicodeScalars.allSatisfy {
            !$0.properties.isWhitespace && $0.properties.generalCategory != .control
                && !"<>(),;:\\\"[]".unicodeScalars.contains($0)
        }
    }
}
