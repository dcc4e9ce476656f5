import Functions

/// The settings of an organisation: what a change may hold, and how it is merged into those that are stored.
enum OrganisationSettings {
    /// The members of `settings` in a PATCH; `null` goes back to the default.
    static let fields: [Field] = [
        .patch(
            "reopenWithinHours",
            .integer(0...720),
            clearable: true,
            doc: "a message reopens a ticket that was closed less than so long ago; 0 is never",
            example: 24
        ),
        .patch(
            "assignment",
            .choice(["manual", "round_robin"]),
            clearable: true,
            doc: "who gets a ticket that opens unassigned: nobody, or the active agent who waited longest"
        ),
        .patch(
            "quietHours",
            .object([
                .required("from", .text(5...5), doc: "HH:MM in the organisation's time zone", example: "21:00"),
                .required("to", .text(5...5), doc: "HH:MM; before `from` it is the next day's", example: "08:00"),
            ]),
            clearable: true,
            doc: "when campaigns send nothing"
        ),
        .patch(
            "campaignCap",
            .object([
                .required("messages", .integer(1...1000), example: 3),
                .required("days", .integer(1...365), example: 7),
            ]),
            clearable: true,
            doc: "how many campaign messages a contact gets in so many days"
        ),
    ]

    /// Reports what the fields alone can't tell: times of day that are none.
    static func check(_ change: JSON?, into check: inout FieldCheck) {
        guard let hours = change?["quietHours"] else { return }
        let times = ["from", "to"].map { (name: $0, text: hours[$0]?.string) }
        // Of another length, the field's own fault says enough.
        for case (let name, let text?) in times where text.unicodeScalars.count == 5 && !isTimeOfDay(text) {
            check.report("/settings/quietHours/\(name)", "must be a time of day such as 21:00")
        }
        if let from = times[0].text, isTimeOfDay(from), from == times[1].text {
            check.report("/settings/quietHours/to", "must differ from `from`")
        }
    }

    private static func isTimeOfDay(_ text: String) -> Bool {
        let digits = Array(text.utf8)
        guard digits.count == 5, digits[2] == UInt8(ascii: ":"),
            let hours = Int(text.prefix(2)), let minutes = Int(text.suffix(2))
        else { return false }
        return text.utf8.allSatisfy { $0 == UInt8(ascii: ":") || (0x30...0x39).contains($0) }
            && (0..<24).contains(hours) && (0..<60).contains(minutes)
    }
}
