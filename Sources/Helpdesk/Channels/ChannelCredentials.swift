import Functions
import Security

/// What a channel needs to know to speak for its account: by kind, sealed at rest, masked in answers.
enum ChannelCredentials {
    /// One value of a kind of channel.
    private struct Part {
        let name: String
        let isSecret: Bool
        let isRequired: Bool
        let choices: [String]?

        static func secret(_ name: String, optional: Bool = false) -> Part {
            Part(name: name, isSecret: true, isRequired: !optional, choices: nil)
        }

        /// An id or another thing that isn't secret; shown whole.
        static func open(_ name: String, optional: Bool = false, choices: [String]? = nil) -> Part {
            Part(name: name, isSecret: false, isRequired: !optional, choices: choices)
        }

        var type: FieldType { choices.map { .choice($0) } ?? .text(1...4096, .name) }
    }

    private static func parts(of kind: Channel.Kind) -> [Part] {
        switch kind {
        case .whatsapp:
            [
                .secret("accessToken"), .secret("appSecret"), .secret("verifyToken"), .open("phoneNumberId"),
                .open("businessAccountId"),
            ]
        case .facebook:
            [
                .secret("pageAccessToken"), .secret("appSecret"), .secret("verifyToken"), .open("pageId"),
                .open("appId", optional: true),
            ]
        case .instagram:
            [
                .secret("accessToken"), .secret("appSecret"), .secret("verifyToken"), .open("accountId"),
                .open("login", optional: true, choices: ["facebook", "instagram"]), .open("pageId", optional: true),
            ]
        case .twitter:
            [
                .secret("consumerKey"), .secret("consumerSecret"), .open("userId"), .secret("accessToken"),
                .secret("refreshToken", optional: true), .open("clientId", optional: true),
                .secret("clientSecret", optional: true), .secret("accessTokenSecret", optional: true),
            ]
        case .linkedin:
            [
                .open("clientId"), .secret("clientSecret"), .secret("accessToken"), .open("organizationUrn"),
                .secret("refreshToken", optional: true),
            ]
        case .mock: []
        }
    }

    /// The members that a new channel of this kind must and may have.
    static func fields(of kind: Channel.Kind) -> [Field] {
        parts(of: kind).map { $0.isRequired ? .required($0.name, $0.type) : .optional($0.name, $0.type) }
    }

    /// The members of a change: `null` takes an optional one away.
    static func patches(of kind: Channel.Kind) -> [Field] {
        parts(of: kind).map { .patch($0.name, $0.type, clearable: !$0.isRequired) }
    }

    /// What callers see: ids whole, of a secret the last 4 characters, and none of one under 12 characters.
    static func masked(_ credentials: JSON, kind: Channel.Kind) -> JSON {
        let open = Set(parts(of: kind).filter { !$0.isSecret }.map(\.name))
        return .object(
            (credentials.members ?? []).map { member in
                guard !open.contains(member.name), case .string(let secret) = member.value else { return member }
                return JSON.Member(member.name, .string("••••" + (secret.count < 12 ? "" : secret.suffix(4))))
            }
        )
    }

    /// A change without the secrets that came back as they were shown: who edits the rest of a channel sends them along.
    static func unmasked(_ change: JSON, over old: JSON, kind: Channel.Kind) -> JSON {
        let shown = masked(old, kind: kind)
        return .object((change.members ?? []).filter { $0.value != shown[$0.name] })
    }

    /// What differs, for the audit: ids by value, of secrets only that they changed.
    static func changes(from old: JSON, to new: JSON, kind: Channel.Kind) -> [AuditChange] {
        let secrets = Set(parts(of: kind).filter(\.isSecret).map { "credentials.\($0.name)" })
        return new.changes(from: old, under: "credentials").map { change in
            secrets.contains(change.field) ? .secret(change.field) : change
        }
    }

    /// Sealed for this channel alone; `nil` where there is nothing to seal.
    static func seal(_ credentials: JSON, for channel: Channel.ID, with sealed: Sealed) -> [UInt8]? {
        guard credentials.members?.isEmpty == false else { return nil }
        return sealed.seal(Array(credentials.text.utf8), for: context(channel))
    }

    /// - Throws: ``SealedError`` when it was sealed for another channel or with a key that is gone.
    static func open(_ bytes: [UInt8]?, of channel: Channel.ID, with sealed: Sealed) throws -> JSON {
        guard let bytes else { return [:] }
        return try JSON.parse(sealed.open(bytes, for: context(channel)))
    }

    private static func context(_ channel: Channel.ID) -> String { "channel:\(channel)" }
}
