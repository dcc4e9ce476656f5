import Foundation
import Postgres
import Security
import TestSupport
import Testing

/// Files of received messages, from the provider's webhook to the agent's browser.
@Suite struct AttachmentTests {
    private static let running = Task { try await RunningHost(settings: ["EGRESS_ALLOW": "127.0.0.0/8"]) }
    private static let secret = "an app secret of the tests"

    private func page(of organisation: Organisation) async throws -> String {
        let credentials = [
            "pageAccessToken": "0123456789abcdef", "appSecret": Self.secret, "verifyToken": "a verify token",
            "pageId": "700100200300",
        ]
        let answer = try await organisation.api.post(
            organisation.path + "/channels",
            ["type": "facebook", "name": "Page", "credentials": credentials]
        )
        guard answer.status == 201, let id = answer.string("id") else { throw UnexpectedAnswer(answer) }
        return id
    }

    private func post(_ url: String, type: String = "image", to channel: String, _ host: RunningHost) async throws {
        let body =
            #"{"object":"page","entry":[{"id":"700100200300","time":1763805600000,"messaging":[{"sender":{"id":"8812"},"#
            + #""recipient":{"id":"700100200300"},"timestamp":1763805600000,"message":{"mid":"m-\#(UUID())","#
            + #""attachments":[{"type":"\#(type)","payload":{"url":"\#(url)"}}]}}]}]}"#
        let digest = Hex.encode(HMAC.sha256(key: Self.secret, message: body))
        let answer = try await host.api.send(
            "POST",
            "/webhook/\(channel)",
            bytes: body,
            headers: ["Content-Type": "application/json", "X-Hub-Signature-256": "sha256=" + digest]
        )
        guard answer.status == 200 else { throw UnexpectedAnswer(answer) }
    }

    /// The first attachment of the organisation's one message, once it leads to us.
    private func attachment(of organisation: Organisation, _ host: RunningHost) async throws -> [String: Any] {
        try await eventually(within: .seconds(60), otherwise: { host.log }) {
            guard let ticket = try await organisation.tickets().first?["id"] as? String,
                let message = try await organisation.messages(of: ticket).first,
                let attachment = (message["attachments"] as? [[String: Any]])?.first,
                (attachment["url"] as? String)?.contains("/attachments/") == true
            else { return nil }
            return attachment
        }
    }

    @Test func anAgentGetsTheFileThatACustomerSentAndNobodyElseDoes() async throws {
        let host = try await Self.running.value
        let media = try await MediaServer()
        let organisation = try await Contract.line.wait { try await Organisation.signUp(host.api) }
        let other = try await Contract.line.wait { try await Organisation.signUp(host.api, name: "Other") }

        try await post(media.url + "/files/photo.jpg", to: try await page(of: organisation), host)

        let shown = try await attachment(of: organisation, host)
        let url = try #require(shown["url"] as? String)
        let path = try #require(url.range(of: organisation.path).map { String(url[$0.lowerBound...]) })
        #expect(url == "http://localhost:\(host.port)\(path)")
        #expect(shown["mimeType"] as? String == "image/jpeg")
        #expect(shown["size"] as? Int == MediaServer.photo.utf8.count)
        let file = try await organisation.api.get(path)
        #expect(file.status == 200)
        #expect(file.text == MediaServer.photo)
        #expect(file.headers["content-type"] == "image/jpeg")
        #expect(file.headers["content-length"] == "\(MediaServer.photo.utf8.count)")
        #expect(file.headers["content-disposition"]?.hasPrefix("attachment") == true)
        #expect(file.headers["x-content-type-options"] == "nosniff")
        let part = try await organisation.api.get(path, headers: ["Range": "bytes=3-4"])
        #expect(part.status == 206)
        #expect(part.headers["content-range"] == "bytes 3-4/\(MediaServer.photo.utf8.count)")
        #expect(part.headers["content-length"] == "2")
        let head = try await organisation.api.send("HEAD", path)
        #expect(head.status == 200)
        #expect(head.headers["content-length"] == "\(MediaServer.photo.utf8.count)")
        #expect(head.headers["accept-ranges"] == "bytes")
        #expect(try await other.api.get(path).problem == "403")
        #expect(try await other.api.get(path.replacing(organisation.id, with: other.id)).problem == "404")
        #expect(try await host.api.get(path).problem == "401")
    }

    @Test func aPartIsSentOfTheFileThatTheCallerKnows() async throws {
        let host = try await Self.running.value
        let media = try await MediaServer()
        let organisation = try await Contract.line.wait { try await Organisation.signUp(host.api) }
        let api = organisation.api
        let size = MediaServer.photo.utf8.count
        try await post(media.url + "/files/photo.jpg", to: try await page(of: organisation), host)
        let shown = try await attachment(of: organisation, host)
        let url = try #require(shown["url"] as? String)
        let path = try #require(url.range(of: organisation.path).map { String(url[$0.lowerBound...]) })

        let whole = try await api.get(path)
        let tag = try #require(whole.headers["etag"])
        let end = try await api.get(path, headers: ["Range": "bytes=-3", "If-Range": tag])
        let other = try await api.get(path, headers: ["Range": "bytes=-3", "If-Range": "\"another\""])
        let several = try await api.get(path, headers: ["Range": "bytes=0-0,2-2"])
        let beyond = try await api.get(path, headers: ["Range": "bytes=\(size)-"])
        let beyondsHead = try await api.send("HEAD", path, headers: ["Range": "bytes=\(size)-"])
        let known = try await api.get(path, headers: ["If-None-Match": "\"another\", W/\(tag)"])
        let unknown = try await api.get(path, headers: ["If-None-Match": "\"another\""])

        #expect(whole.headers["accept-ranges"] == "bytes")
        #expect(end.status == 206)
        #expect(end.text == String(MediaServer.photo.suffix(3)))
        #expect(end.headers["content-range"] == "bytes \(size - 3)-\(size - 1)/\(size)")
        #expect(end.headers["etag"] == tag)
        #expect(other.status == 200 && other.text == MediaServer.photo)
        #expect(several.status == 200 && several.text == MediaServer.photo)
        #expect(several.headers["content-range"] == nil)
        #expect(beyond.problem == "416")
        #expect(beyond.headers["content-range"] == "bytes */\(size)")
        #expect(beyondsHead.status == 416 && beyondsHead.body.isEmpty)
        #expect(beyondsHead.headers["content-range"] == "bytes */\(size)")
        #expect(known.status == 304 && known.body.isEmpty && known.headers["etag"] == tag)
        #expect(unknown.status == 200 && unknown.text == MediaServer.photo)
    }

    @Test func aFileThatWasComingWhenWeWereKilledComesAgain() async throws {
        let host = try await RunningHost(settings: ["EGRESS_ALLOW": "127.0.0.0/8"])
        let media = try await MediaServer()
        let organisation = try await Organisation.signUp(host.api)
        try await post(media.url + "/files/held.jpg", to: try await page(of: organisation), host)
        _ = try await eventually { media.requests.isEmpty ? nil : true }

        host.kill()
        media.release()
        // As if the time had passed in which another process leaves it alone.
        _ = try await host.database.rows("UPDATE attachments SET next_attempt_at = now()")
        try await host.start()
        try await organisation.api.kickAttachments(host)

        let shown = try await attachment(of: organisation, host)
        #expect(shown["size"] as? Int == MediaServer.photo.utf8.count)
        let files = FileManager.default.enumerator(atPath: host.attachmentFolder)?.compactMap { $0 as? String } ?? []
        #expect(files.filter { $0.contains("/") }.count == 1)
        host.stop()
    }
}

extension APIClient {
    /// Has the files looked at without waiting for the minute's sweep: the job of the killed process is taken up by its lock.
    fileprivate func kickAttachments(_ host: RunningHost) async throws {
        _ = try await eventually(within: .seconds(90)) {
            let rows = try await host.database.rows("SELECT 1 FROM attachments WHERE attempts > 1")
            return rows.isEmpty ? nil : true
        }
    }
}
