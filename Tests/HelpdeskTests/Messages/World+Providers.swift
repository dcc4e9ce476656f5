import Foundation
import Functions
import Helpdesk
import Postgres
import Queue
import TestSupport

extension World {
    /// A world whose providers are all one stand-in.
    static func with(
        _ settings: [String: String] = [:],
        providers body: (World, StandInProvider) async throws -> Void
    ) async throws {
        let provider = try await StandInProvider()
        try await with(provider.settings.merging(settings) { _, new in new }) { try await body($0, provider) }
    }

    /// A new channel of a kind, with credentials of the tests.
    func channel(_ kind: String, _ caller: Caller, adding more: [JSON.Member] = []) async throws -> String {
        let credentials: [JSON.Member] =
            switch kind {
            case "whatsapp":
                [
                    .init("accessToken", "token-1"), .init("appSecret", "s"), .init("verifyToken", "v"),
                    .init("phoneNumberId", "300100200101"), .init("businessAccountId", "300100200100"),
                ]
            case "facebook":
                [
                    .init("pageAccessToken", "token-1"), .init("appSecret", "s"), .init("verifyToken", "v"),
                    .init("pageId", "700100200300"),
                ]
            case "instagram":
                [
                    .init("accessToken", "token-1"), .init("appSecret", "s"), .init("verifyToken", "v"),
                    .init("accountId", "17840000000000001"),
                ]
            case "twitter":
                [
                    .init("consumerKey", "k"), .init("consumerSecret", "s"), .init("userId", "5550000001"),
                    .init("accessToken", "token-1"),
                ]
            default:
                [
                    .init("clientId", "c"), .init("clientSecret", "s"), .init("accessToken", "token-1"),
                    .init("organizationUrn", "urn:li:organization:4004001"),
                ]
            }
        let body: JSON = [
            "type": .string(kind), "name": "Line", "credentials": .object(credentials + more),
        ]
        return try await call("create-channel", as: caller, body: body).text("id")
    }

    /// Lets a customer write on a channel; answers the ticket's id.
    func conversation(
        _ channel: String,
        of caller: Caller,
        id: String = "urn:li:comment:(urn:li:activity:71,72)",
        hoursAgo: Double = 0
    ) async throws -> String {
        let at = Date(timeIntervalSinceNow: -hoursAgo * 3600)
        let sender: JSON = ["phone": "+4915550001", "externalId": "7000000000000001", "name": "Kim"]
        _ = try await work(
            "receive-message",
            [
                [
                    "channelId": .string(channel), "externalId": .string(id), "sender": sender, "text": "Hello?",
                    "providerAt": .string(at.rfc3339),
                ]
            ]
        )
        return try await column("SELECT id::text FROM tickets WHERE channel_id = \(channel)::uuid")[0] ?? "-"
    }

    /// What is told of a message by a webhook.
    func change(_ channel: String, _ members: [JSON.Member]) async throws -> [Outcome] {
        try await work("apply-change", [.object([.init("channelId", .string(channel))] + members)])
    }

    /// Of each outbound message: its status, its code and how often it was tried.
    func sends() async throws -> [String?] {
        try await column(
            """
            SELECT status || coalesce(' ' || error_code, '') || ' ' || attempts
              FROM messages WHERE direction = 'outbound' ORDER BY accepted_at
            """
        )
    }

    /// Lets the time pass until everything that waits is due.
    func passTime() async throws {
        _ = try await owner.query(
            "UPDATE messages SET next_attempt_at = now() - interval '1 second' WHERE next_attempt_at > now()"
        )
        _ = try await owner.query(
            "UPDATE messages SET evidence_until = now() - interval '1 second' WHERE evidence_until > now()"
        )
        _ = try await owner.query(
            "UPDATE channels SET paced_until = now() - interval '1 second' WHERE paced_until > now()"
        )
        _ = try await owner.query("UPDATE campaign_batches SET due_at = now() - interval '1 second'")
    }
}
