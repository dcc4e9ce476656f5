/// A setting of the product, which comes from the environment.
package struct Variable: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case string, int, bool, duration, size, url
        case choice = "enum"
    }

    package let name: String
    package let kind: Kind
    /// What holds where the environment says nothing; already checked.
    package let `default`: String?
    /// Whether its value must never be shown.
    package let isSecret: Bool
    /// Whether the product can't do without it; always false where there is a default.
    package let isRequired: Bool
    /// Whether it names something that all processes must have in common, so that a container can't do without it.
    package let isShared: Bool
    /// In characters.
    package let minLength: Int?
    /// The least and the greatest value of an `int`.
    package let minimum: Int?
    package let maximum: Int?
    /// The values of an `enum`.
    package let choices: [String]
    package let doc: String?

    /// Completes a sentence about the setting with what is wrong with a value; `nil` when it is fine.
    package func fault(in value: String) -> String? {
        if let minLength, value.count < minLength { return "is shorter than \(minLength) characters" }
        switch kind {
        case .string: return nil
        case .int: return wholeFault(in: value)
        case .bool: return Self.bool(value) == nil ? "is neither true nor false" + quoted(value) : nil
        case .duration:
            return DurationText.parse(value) == nil ? "is not a duration \(DurationText.example)" + quoted(value) : nil
        case .size: return SizeText.parse(value) == nil ? "is not a size \(SizeText.example)" + quoted(value) : nil
        case .url: return Self.isURL(value) ? nil : "is not a URL with a scheme" + quoted(value)
        case .choice:
            guard !choices.contains(value) else { return nil }
            let hint = isSecret ? nil : Suggestion.hint(for: value, among: choices)
            return "is not one of \(choices.joined(separator: ", "))" + quoted(value) + (hint.map { "; \($0)" } ?? "")
        }
    }

    private func wholeFault(in value: String) -> String? {
        guard let number = Int(value) else { return "is not a whole number" + quoted(value) }
        if let minimum, number < minimum { return "is less than \(minimum)" + quoted(value) }
        if let maximum, number > maximum { return "is more than \(maximum)" + quoted(value) }
        return nil
    }

    /// The value in brackets, unless nobody may see it.
    private func quoted(_ value: String) -> String {
        isSecret ? "" : " (\"\(value)\")"
    }

    static func bool(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true", "yes", "on", "1": true
        case "false", "no", "off", "0": false
        default: nil
        }
    }

    /// Whether `text` has a scheme (RFC 3986, section 3.1), `:` and something behind it, and neither spaces nor controls.
    private static func isURL(_ text: String) -> Bool {
        let scheme = text.prefix { $0 != ":" }
        let rest = text.dropFirst(scheme.count + 1)
        return !rest.isEmpty && scheme.first?.isLetter == true
            && scheme.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
            && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7f }
    }
}
