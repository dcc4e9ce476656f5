import Foundation
import TestSupport
import Testing

@testable import Connectors

/// Giving files to X.
@Suite struct UploadTests {
    private func file(_ type: String, _ size: Int) -> OutgoingFile {
        OutgoingFile(type: type, size: size) {
            AsyncThrowingStream { stream in
                for start in stride(from: 0, to: size, by: 256 << 10) {
                    stream.yield([UInt8](repeating: 0x61, count: min(256 << 10, size - start)))
                }
                stream.finish()
            }
        }
    }

    private func upload(
        _ file: OutgoingFile,
        _ provider: StandInProvider,
        patience: TimeInterval = 60
    ) async -> UploadResult {
        await TwitterConnector().upload(
            file,
            through: .test("twitter"),
            at: .test(provider),
            until: Providers.now.addingTimeInterval(patience)
        )
    }

    @Test func givesAFilePieceByPiece() async throws {
        let provider = try await StandInProvider()
        let size = (4 << 20) + 3

        let result = await upload(file("image/png", size), provider)

        #expect(result == .uploaded("771"))
        let calls = provider.calls
        #expect(
            calls.map { "\($0.method) \($0.path)" } == [
                "POST /2/media/upload/initialize", "POST /2/media/upload/771/append", "POST /2/media/upload/771/append",
                "POST /2/media/upload/771/append", "POST /2/media/upload/771/finalize",
            ]
        )
        #expect(
            calls.first?.body == #"{"media_category":"dm_image","media_type":"image/png","total_bytes":\#(size)}"#
        )
        let pieces = calls.filter { $0.path.hasSuffix("append") }
        for (index, piece) in pieces.enumerated() {
            #expect(piece.body.contains("name=\"segment_index\"\r\n\r\n\(index)\r\n"))
            #expect(piece.headers["content-type"]?.hasPrefix("multipart/form-data; boundary=part-") == true)
        }
        let sent = pieces.map { piece in
            piece.body.components(separatedBy: "\r\n\r\n").last?.prefix { $0 == "a" }.count ?? 0
        }
        #expect(sent == [2 << 20, 2 << 20, 3])
        #expect(calls.allSatisfy { $0.headers["authorization"] == "Bearer t" })
    }

    @Test(arguments: [
        ("image/jpeg", "dm_image"), ("image/gif", "dm_gif"), ("video/mp4", "dm_video"),
    ])
    func saysWhatItIs(_ type: String, _ category: String) async throws {
        let provider = try await StandInProvider()

        _ = await upload(file(type, 1), provider)

        #expect(provider.calls.first?.body.contains(#""media_category":"\#(category)""#) == true)
    }

    private static let begun = #"{"body": {"data": {"id": "9"}}}"#
    private static let taken = #"{"body": {}}"#

    private static func state(_ state: String) -> String {
        #"{"body": {"data": {"id": "9", "processing_info": {"state": "\#(state)", "check_after_secs": 1}}}}"#
    }

    @Test(arguments: [("succeeded", "uploaded 9"), ("failed", "message media_failed")])
    func waitsForWhatXMakesOfAVideo(_ end: String, _ expected: String) async throws {
        let provider = try await StandInProvider()
        try await provider.answer(
            Self.begun,
            Self.taken,
            Self.state("pending"),
            Self.state("in_progress"),
            Self.state(end)
        )

        let result = await upload(file("video/mp4", 1), provider)

        #expect(result.line == expected)
        #expect(provider.calls.last?.path == "/2/media/upload?command=STATUS&media_id=9")
    }

    @Test func waitsNoLongerThanItMay() async throws {
        let provider = try await StandInProvider()
        try await provider.answer(Self.begun, Self.taken, Self.state("pending"))

        #expect(await upload(file("video/mp4", 1), provider, patience: 0.5).line == "retry media_pending")
    }

    /// Nothing was sent: no outcome is unknown, and none is the recipient's fault.
    @Test(arguments: [
        (#"{"cut": true}"#, "retry upload_failed"), (#"{"status": 502, "body": "<html>"}"#, "retry http_502"),
        (#"{"status": 401, "body": {"title": "Unauthorized", "status": 401}}"#, "expired http_401"),
        (#"{"status": 400, "body": {"title": "Bad", "detail": "no such media", "status": 400}}"#, "message http_400"),
        (#"{"status": 404, "body": {"title": "Gone", "detail": "no such media", "status": 404}}"#, "message http_404"),
        (#"{"status": 429, "body": {"title": "Too Many Requests", "status": 429}}"#, "pace http_429"),
        (#"{"status": 200, "body": {}}"#, "retry unreadable_answer"),
    ])
    func tellsWhyThereIsNoFile(_ answer: String, _ expected: String) async throws {
        let provider = try await StandInProvider()
        try await provider.answer(answer)

        #expect(await upload(file("image/png", 1), provider).line == expected)
    }

    @Test func namesTheFileInTheMessage() async throws {
        let provider = try await StandInProvider()
        var message = OutboundMessage.test(text: "look")
        message.uploadId = "771"

        let report = await TwitterConnector().send(message, through: .test("twitter"), at: .test(provider))

        #expect(report.result.line.hasPrefix("accepted"))
        #expect(provider.calls.first?.body == #"{"attachments":[{"media_id":"771"}],"text":"look"}"#)
    }
}

extension UploadResult {
    fileprivate var line: String {
        switch self {
        case .uploaded(let id): "uploaded \(id)"
        case .refused(let result): result.line
        }
    }
}
