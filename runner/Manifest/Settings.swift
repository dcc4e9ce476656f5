/// The values of the variables, checked once at the start.
package struct Settings: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    private struct Value: Sendable, Equatable {
        let text: String
        let isSecret: Bool
    }

    private let values: [String: Value]

    private init(values: [String: Value]) {
        self.values = values
    }

    /// Takes the variables' values from the environment. An empty value counts as none, as in Compose files.
    ///
    /// - Parameters:
    ///   - variables: those that are needed; hand over the ones in use, so that a process asks for no others.
    ///   - environment: such as `ProcessInfo.processInfo.environment`.
    /// - Returns: the values, and the defaults of those that the environment lacks.
    /// - Throws: every variable that is missing or malformed, at once.
    package static func resolve(
        _ variables: some Sequence<Variable>,
        environment: [String: String]
    ) throws(SettingsFaults) -> Settings {
        var values: [String: Value] = [:]
        var faults: [SettingsFault] = []
        for variable in variables {
            let given = environment[variable.name].flatMap { $0.isEmpty ? nil : $0 }
            guard let text = given ?? variable.default else {
                if variable.isRequired { faults.append(SettingsFault(variable: variable, message: "is not set")) }
                continue
            }
            if let message = variable.fault(in: text) {
                faults.append(SettingsFault(variable: variable, message: message))
            } else {
                values[variable.name] = Value(text: text, isSecret: variable.isSecret)
            }
        }
        guard faults.isEmpty else { throw SettingsFaults(faults: faults) }
        return Settings(values: values)
    }

    /// The value as text; `nil` when it is optional and not set, or not among these settings.
    package subscript(name: String) -> String? { values[name]?.text }

    /// The value of an `int`; `nil` also when the variable is of another type, as with the ones below.
    package func int(_ name: String) -> Int? { self[name].flatMap { Int($0) } }
    package func bool(_ name: String) -> Bool? { self[name].flatMap(Variable.bool) }
    package func duration(_ name: String) -> Duration? { self[name].flatMap { DurationText.parse($0) } }
    /// In bytes.
    package func size(_ name: String) -> Int? { self[name].flatMap { SizeText.parse($0) } }

    /// What a function that uses these names may see.
    package func subset(uses names: some Sequence<String>) -> Settings {
        let names = Set(names)
        return Settings(values: values.filter { names.contains($0.key) })
    }

    /// For the environment of a child process; holds the secrets.
    package var environment: [String: String] { values.mapValues(\.text) }

    /// Names and values, without the secrets.
    package var description: String {
        let lines = values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.isSecret ? "••••" : $0.value.text)" }
        return "[\(lines.joined(separator: ", "))]"
    }

    /// Keeps `dump` and string interpolation of a containing value from showing what ``description`` hides.
    package var customMirror: Mirror { Mirror(self, children: [], displayStyle: .struct) }
}

/// What is wrong with one variable of the environment.
package struct SettingsFault: Sendable, Equatable, CustomStringConvertible {
    package let name: String
    /// Completes a sentence about the variable; holds no secret.
    package let message: String
    package let doc: String?

    init(variable: Variable, message: String) {
        name = variable.name
        doc = variable.doc
        self.message = message
    }

    package var description: String {
        "\(name) \(message)" + (doc.map { " — \($0)" } ?? "")
    }
}

/// All that is wrong with the environment, in the order of the variables in the manifest.
package struct SettingsFaults: Error, Sendable, Equatable, CustomStringConvertible {
    package let faults: [SettingsFault]

    package var description: String {
        faults.map { "error: \($0)" }.joined(separator: "\n")
    }
}
