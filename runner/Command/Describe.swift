import ArgumentParser
import Functions
import Host
import Manifest

struct Describe: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tells all about one function: trigger, limits, input, example.",
        discussion: """
            Examples:
              runner describe send-message
              runner describe receive-message
            """
    )

    @OptionGroup var options: BundleOptions

    @Argument(help: "The function's name in functions.yaml.")
    var name: String

    func run() throws {
        let bundle = try options.bundle()
        let manifest = try bundle.manifest()
        guard let pair = try bundle.pairs(of: manifest).first(where: { $0.declaration.name == name }) else {
            throw ValidationError("There is no function \"\(name)\". `runner list` names them all.")
        }
        let function = pair.declaration
        print(Terminal.table(function.facts.map { [$0.label, $0.value] }))
        switch pair.hosted {
        case .http(let endpoint): describe(endpoint.input)
        case .queue(let worker):
            print("\ndata, version \(worker.payloadVersion)")
            describe(worker.payload)
            if case .queue(let trigger) = function.trigger, let example = worker.payload.bodyExample {
                print("\nWith BullMQ's own client:")
                print("  await new Queue(\"\(trigger.queue)\").add(\"\(function.name)\", \(example.text))")
            }
        case .schedule: break
        }
    }

    private func describe(_ input: InputDeclaration) {
        section("path", input.path)
        section("query", input.query)
        switch input.body {
        case .none: break
        case .raw: print("\nbody: any bytes")
        case .json(let fields, _):
            section("body", fields)
            if let example = input.bodyExample { print("\nexample\n  \(example.text)") }
            if !input.streams.isEmpty { print("\nor piece by piece: \(input.streams.joined(separator: ", "))") }
        }
    }

    private func section(_ title: String, _ fields: [Field]) {
        guard !fields.isEmpty else { return }
        print("\n\(title)")
        let rows = fields.map { field in
            ["  " + field.name, field.type.summary, field.presence.summary, field.doc]
        }
        print(Terminal.table(rows))
    }
}

extension Field.Presence {
    fileprivate var summary: String {
        switch self {
        case .required: "required"
        case .optional: "optional"
        case .patch(clearable: true): "absent = unchanged, null = cleared"
        case .patch(clearable: false): "absent = unchanged"
        }
    }
}

extension FieldType {
    /// The type in a few words.
    fileprivate var summary: String {
        switch self {
        case .text(let range, _): "text \(range.lowerBound)…\(range.upperBound)"
        case .uuid: "UUID"
        case .integer(let range): "integer \(range.lowerBound)…\(range.upperBound)"
        case .boolean: "boolean"
        case .choice(let words): words.joined(separator: " | ")
        case .idOr(let words): "UUID | " + words.joined(separator: " | ")
        case .time: "RFC 3339 time"
        case .email: "e-mail address"
        case .phone: "phone number"
        case .url: "http(s) address"
        case .timeZone: "IANA time zone"
        case .list(let element, let count): "list of \(element.summary), at most \(count.upperBound)"
        case .object(let fields): "{\(fields.map(\.name).joined(separator: ", "))}"
        case .json: "any JSON"
        }
    }
}
