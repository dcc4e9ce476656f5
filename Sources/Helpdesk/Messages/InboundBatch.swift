import Connectors
import Foundation
import Functions
import Postgres
import Security

/// Messages of one organisation that are stored by one statement.
///
/// Puts together what belongs together, which `take_messages` relies on: ids that one message names are one sender's, so
/// senders that share an id are one; a message that came twice is in it once.
struct InboundBatch: Sendable {
    /// A job's message and its place among the jobs of the call.
    struct Entry: Sendable {
        let index: Int
        let work: Work<ReceiveMessage.Payload>

        init(_ index: Int, _ work: Work<ReceiveMessage.Payload>) {
            self.index = index
            self.work = work
        }
    }

    let organisation: Organisation.ID
    /// In the order in which they were accepted.
    let entries: [Entry]

    init(_ organisation: Organisation.ID, _ entries: [Entry]) {
        self.organisation = organisation
        self.entries = entries.sorted { $0.work.acceptedAt < $1.work.acceptedAt }
    }

    /// One id of a person; `scope` is the channel where it holds, `nil` for all of the organisation's.
    private struct Identity: Hashable {
        let scope: Channel.ID?
        let kind: String
        let value: String
        /// What is compared.
        let folded: String

        static func == (left: Identity, right: Identity) -> Bool {
            left.scope == right.scope && left.kind == right.kind
                && left.folded.utf8.elementsEqual(right.folded.utf8)
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(scope)
            hasher.combine(kind)
            hasher.combine(folded)
        }
    }

    /// A sender as shown, numbered from 1 in the order of their first message.
    private struct Person {
        var identities: [Identity] = []
        var name: String?
        var phone: String?
        var handle: String?
        var externalId: String?

        /// Takes what a later message says; a name is at most 200 characters.
        mutating func absorb(_ sender: ReceiveMessage.Payload.Person) {
            if let name = sender.name, name.unicodeScalars.contains(where: { !$0.properties.isWhitespace }) {
                self.name = String(String.UnicodeScalarView(name.unicodeScalars.prefix(200)))
            }
            phone = phone ?? sender.phone
            handle = handle ?? sender.handle
            externalId = externalId ?? sender.externalId
        }

        /// Takes over one who turned out to be the same.
        mutating func absorb(_ other: Person) {
            identities += other.identities
            name = name ?? other.name
            phone = phone ?? other.phone
            handle = handle ?? other.handle
            externalId = externalId ?? other.externalId
        }
    }

    /// Stores all of them; see `take_messages`.
    var statement: SQL {
        let messages = distinct
        let (people, places) = senders(of: messages)
        let identities = people.enumerated().flatMap { place, person in
            person.identities.map { (sender: place + 1, identity: $0) }
        }
        let payloads = messages.map(\.work.payload)
        return """
            SELECT take_messages(
                       \(organisation)::uuid,
                       \(identities.map(\.sender))::integer[], \(identities.map(\.identity.scope?.uuid))::uuid[],
                       \(identities.map(\.identity.kind))::text[], \(identities.map(\.identity.value))::text[],
                       \(people.map { $0.name ?? $0.phone ?? $0.handle ?? $0.externalId })::text[],
                       \(people.map(\.phone))::text[], \(people.map(\.handle))::text[],
                       \(places)::integer[], \(payloads.map(\.channelId.uuid))::uuid[],
                       \(payloads.map(\.externalId))::text[], \(payloads.map { $0.text ?? "" })::text[],
                       \(payloads.map { JSON.array(($0.attachments ?? []).map { Attachment($0).json }).text })::text[],
                       \(payloads.map { $0.metadata?.text })::text[], \(payloads.map(\.replyTo))::text[],
                       \(payloads.map(\.providerAt))::timestamptz[], \(messages.map(\.work.acceptedAt))::bigint[],
                       \(payloads.map { Self.optOut($0.text ?? "") })::boolean[]
                   ) AS stored
            """
    }

    /// Raises DC410 in the statement's transaction where a sender has been erased since their message was accepted; see
    /// `refuse_erased`.
    func erasureCheck(with sealed: Sealed) -> SQL {
        "SELECT refuse_erased(\(organisation)::uuid, \(raw: senderDigests(with: sealed)))"
    }

    /// The batch without the messages of those who have been erased since.
    func withoutErased(in context: WorkContext) async throws -> InboundBatch {
        let digests = senderDigests(with: context.services.sealed)
        let rows = try await context.organisation(organisation).query(
            "SELECT job FROM find_erased(\(organisation)::uuid, \(raw: digests))"
        )
        let erased = Set(try rows.map { try $0.get("job", as: Int.self) })
        return InboundBatch(organisation, entries.enumerated().filter { !erased.contains($0.offset) }.map(\.element))
    }

    /// Three arrays: an entry's place, a digest of one of its sender's ids, and its acceptance.
    private func senderDigests(with sealed: Sealed) -> SQL {
        let senders = entries.enumerated().flatMap { place, entry in
            Self.identities(of: entry.work.payload).map { identity in
                (
                    place, entry.work.acceptedAt,
                    Erasure.digest(identity.scope, identity.kind, identity.value, in: organisation, with: sealed)
                )
            }
        }
        return """
            \(senders.map(\.0))::integer[], \(senders.map(\.2))::bytea[], \(senders.map(\.1))::bigint[]
            """
    }

    /// Without those whose provider's id came before in this batch; an original before what an edit has to stand for it.
    private var distinct: [Entry] {
        struct Key: Hashable {
            let channel: Channel.ID
            /// As bytes: a provider's ids are opaque, so nothing folds them.
            let externalId: [UInt8]
        }
        func key(_ entry: Entry) -> Key? {
            entry.work.payload.externalId.map {
                Key(channel: entry.work.payload.channelId, externalId: Array($0.utf8))
            }
        }
        var (seen, originals): (Set<Key>, Set<Key>) = ([], [])
        if entries.contains(where: \.work.payload.isEditAlone) {
            originals = Set(entries.filter { !$0.work.payload.isEditAlone }.compactMap(key))
        }
        return entries.filter { entry in
            guard let key = key(entry) else { return true }
            if entry.work.payload.isEditAlone, originals.contains(key) { return false }
            return seen.insert(key).inserted
        }
    }

    /// The people who wrote, and for each message the number of its sender.
    private func senders(of messages: [Entry]) -> (people: [Person], places: [Int]) {
        // A union of sets: each person points to whom they were found to be, or to themselves.
        var people: [Person] = []
        var same: [Int] = []
        func root(_ person: Int) -> Int {
            var person = person
            while same[person] != person { person = same[person] }
            return person
        }
        var known: [Identity: Int] = [:]
        var writers: [Int] = []
        for message in messages {
            let payload = message.work.payload
            let identities = Self.identities(of: payload)
            let found = Set(identities.compactMap { known[$0].map(root) }).sorted()
            let person: Int
            if let first = found.first {
                person = first
                for other in found.dropFirst() {
                    same[other] = person
                    people[person].absorb(people[other])
                }
            } else {
                person = people.count
                people.append(Person())
                same.append(person)
            }
            for identity in identities where known[identity] == nil {
                known[identity] = person
                people[person].identities.append(identity)
            }
            people[person].absorb(payload.sender)
            writers.append(person)
        }
        let roots = people.indices.filter { same[$0] == $0 }
        let numbers = Dictionary(uniqueKeysWithValues: roots.enumerated().map { ($0.element, $0.offset + 1) })
        return (roots.map { people[$0] }, writers.map { numbers[root($0)] ?? 0 })
    }

    private static func identities(of payload: ReceiveMessage.Payload) -> [Identity] {
        var identities: [Identity] = []
        if let id = payload.sender.externalId {
            identities.append(Identity(scope: payload.channelId, kind: "external", value: id, folded: id))
        }
        if let phone = payload.sender.phone {
            identities.append(Identity(scope: nil, kind: "phone", value: phone, folded: phone))
        }
        if let handle = payload.sender.handle {
            identities.append(
                Identity(scope: payload.channelId, kind: "handle", value: handle, folded: handle.lowercased())
            )
        }
        return identities
    }

    /// `true` for STOP, `false` for START, alone and in any case; `nil` for everything else.
    static func optOut(_ text: String) -> Bool? {
        guard text.utf8.count <= 32 else { return nil }
        return switch text.trimmingCharacters(in: .whitespacesAndNewlines).uppercased() {
        case "STOP", "UNSUBSCRIBE": true
        case "START": false
        default: nil
        }
    }
}
