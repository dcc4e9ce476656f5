package import Foundation
import JSON
import Postgres
import Security

/// The right to be the one run of a POST that carries this Idempotency-Key.
///
/// A claim is a committed row; the answer is stored beside it in the transaction of the change. A run that was killed
/// leaves a claim without an answer, which another run may take over once it is older than the function may run.
package struct IdempotencyClaim: Sendable {
    package let organisation: Tenant.ID
    private let principal: UUID
    private let keyHash: [UInt8]
    private let claim: UUID
    private let path: String

    /// What the key stands for at this moment.
    package enum State: Sendable {
        /// Nobody ran it: run it now.
        case claimed(IdempotencyClaim)
        /// It ran before; this was the answer.
        case answered(Answer)
        /// It is running elsewhere.
        case running
        /// The key was used with another body.
        case otherRequest
        /// It ran before, and the answer was erased with the person whom it told of.
        case erased
    }

    /// Takes the key in one round trip.
    ///
    /// - Parameters:
    ///   - scope: the caller's organisation; entering it checks the session.
    ///   - principal: who asks; keys of different callers never meet.
    ///   - key: what makes the request one: the method, the path and the caller's key.
    ///   - body: the bytes that came; the same key with others is ``State/otherRequest``.
    ///   - patience: seconds after which a claim without an answer is taken over.
    /// - Returns: what to do: run, replay, wait or refuse.
    /// - Throws: what the database throws; a session that has ended is SQLSTATE DC401.
    package static func take(
        _ scope: OrganisationScope,
        principal: UUID,
        key: [String],
        body: [UInt8],
        patience: Double
    ) async throws -> State {
        let path = key.count > 1 ? key[1] : ""
        let keyHash = SHA256.digest(key.joined(separator: "\u{0}"))
        let requestHash = SHA256.digest(body)
        let claim = UUID.v7()
        let results = try await scope.run([
            """
            INSERT INTO idempotency_keys AS known (org_id, principal, key_hash, request_hash, claim)
            VALUES (\(scope.organisation), \(principal), \(keyHash), \(requestHash), \(claim))
            ON CONFLICT (org_id, principal, key_hash) DO UPDATE
               SET claim = excluded.claim, claimed_at = now(), request_hash = excluded.request_hash,
                   status = NULL, answer = NULL, mentions = '{}', created_at = now(), expires_at = excluded.expires_at
             WHERE known.expires_at < now()
                OR (known.status IS NULL AND known.request_hash = excluded.request_hash
                    AND known.claimed_at < now() - make_interval(secs => \(patience)::double precision))
            """,
            """
            SELECT request_hash, claim, answer, status
              FROM idempotency_keys
             WHERE org_id = \(scope.organisation) AND principal = \(principal) AND key_hash = \(keyHash)
            """,
        ])
        guard let row = results[1].first else { return .running }
        guard try row.get("request_hash", as: [UInt8].self) == requestHash else { return .otherRequest }
        if let sealed = try row.optional("answer", as: [UInt8].self) {
            return .answered(try Answer(stored: scope.services.sealed.open(sealed, for: sealContext(keyHash))))
        }
        guard try row.optional("status", as: Int.self) == nil else { return .erased }
        guard try row.get("claim", as: UUID.self) == claim else { return .running }
        return .claimed(
            IdempotencyClaim(
                organisation: scope.organisation,
                principal: principal,
                keyHash: keyHash,
                claim: claim,
                path: path
            )
        )
    }

    /// Stores the answer in the transaction of the change.
    ///
    /// - Throws: ``Failure/conflict(_:)`` when another run has taken the claim over, so that the change is undone.
    func store(_ answer: Answer, in transaction: Transaction) async throws {
        let rows = try await transaction.query(storing(answer, scope: transaction.scope))
        guard rows.affected == 1 else {
            throw Failure.conflict("Another request with this Idempotency-Key is running.")
        }
    }

    /// Stores the answer of a run that changed nothing, or of one that changes by other means.
    package func store(_ answer: Answer, in scope: OrganisationScope) async throws {
        _ = try await scope.query(storing(answer, scope: scope))
    }

    /// Gives the key back after a run that ended without an answer to keep (a fault of ours, a lack of rights).
    package func release(in scope: OrganisationScope) async throws {
        _ = try await scope.query(
            """
            DELETE FROM idempotency_keys
             WHERE org_id = \(organisation) AND principal = \(principal) AND key_hash = \(keyHash)
               AND claim = \(claim) AND status IS NULL
            """
        )
    }

    /// Touches no row where the answer is stored already, or the claim is another run's by now.
    private func storing(_ answer: Answer, scope: OrganisationScope) -> SQL {
        let sealed = scope.services.sealed.seal(answer.stored, for: Self.sealContext(keyHash))
        return """
            UPDATE idempotency_keys
               SET status = \(answer.status), answer = \(sealed), mentions = \(answer.mentions(path))::uuid[]
             WHERE org_id = \(organisation) AND principal = \(principal) AND key_hash = \(keyHash)
               AND claim = \(claim) AND status IS NULL
            """
    }

    private static func sealContext(_ keyHash: [UInt8]) -> String {
        "idempotency:" + Base64.url.encode(keyHash)
    }
}

extension Answer {
    /// The ids in a request's path and in the body of its answer, each once: by them an answer that is sealed is found again.
    func mentions(_ path: String) -> [UUID] {
        let dash = UInt8(ascii: "-")
        var found: Set<UUID> = []
        for text in [Array(path.utf8), body] where text.count >= 36 {
            for start in 0...(text.count - 36)
            where text[start + 8] == dash && text[start + 13] == dash && text[start + 18] == dash
                && text[start + 23] == dash
            {
                let word = String(decoding: text[start..<(start + 36)], as: UTF8.self)
                if let id = UUID(uuidString: word) { found.insert(id) }
            }
        }
        return Array(found)
    }

    /// A head of JSON, a line feed, the body.
    var stored: [UInt8] {
        var head = JSONWriter()
        head.object {
            $0.member("status", status)
            $0.member("contentType", contentType)
            $0.name("headers")
            $0.array {
                for header in headers {
                    $0.array {
                        $0.string(header.name)
                        $0.string(header.value)
                    }
                }
            }
        }
        return head.bytes + [0x0A] + body
    }

    init(stored bytes: [UInt8]) throws {
        let end = bytes.firstIndex(of: 0x0A) ?? bytes.endIndex
        let head = try JSON.parse(bytes[..<end])
        self.init(
            status: head["status"]?.integer ?? 200,
            contentType: head["contentType"]?.string,
            body: Array(bytes[end...].dropFirst()),
            headers: (head["headers"]?.array ?? []).compactMap { pair in
                guard let name = pair.array?.first?.string, let value = pair.array?.last?.string else { return nil }
                return (name, value)
            }
        )
    }
}
