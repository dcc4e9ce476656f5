import Functions

/// The settings of a channel, by kind.
enum ChannelSettings {
    /// The members of a new channel's `settings`, of which each may be left out, and of a change, where `null` takes one away.
    static func fields(of kind: Channel.Kind) -> [Field] {
        switch kind {
        case .mock: [.patch("outcome", .json, clearable: true, doc: outcomes, example: "ok")]
        case .whatsapp, .facebook, .instagram, .twitter, .linkedin: []
        }
    }

    private static let outcomes =
        #""ok", "recipient" or "channel": how sending ends; {"retry": n}: it works after n tries that don't"#

    /// Reports what the fields alone can't tell.
    static func check(_ settings: JSON, kind: Channel.Kind, into check: inout FieldCheck) {
        guard kind == .mock, let outcome = settings["outcome"], outcome != .null else { return }
        switch outcome {
        case "ok", "recipient", "channel": return
        case .object(let members) where members.count == 1:
            if let tries = outcome["retry"]?.integer, (0...1000).contains(tries) { return }
        default: break
        }
        check.report("/settings/outcome", #"must be "ok", "recipient", "channel" or {"retry": n}"#)
    }
}
