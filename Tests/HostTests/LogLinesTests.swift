import Foundation
import Logging
import Testing

@testable import Host

@Suite struct LogLinesTests {
    /// What a logger of that style writes.
    private func written(_ style: LogLines.Style, _ body: (Logger) -> Void) throws -> String {
        let pipe = Pipe()
        let descriptor = pipe.fileHandleForWriting.fileDescriptor
        body(
            Logger(label: "test") { label in
                LogLines(label: label, style: style, level: .info, descriptor: descriptor)
            }
        )
        try pipe.fileHandleForWriting.close()
        return String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    }

    @Test func isOneJSONObjectALine() throws {
        let text = try written(.json) {
            $0.info("said \"hi\"\nand went", metadata: ["request_id": "r-1", "path": "\\ \u{1} é"])
        }

        let lines = text.split(separator: "\n")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: String])
        #expect(lines.count == 1)
        #expect(object["message"] == "said \"hi\"\nand went")
        #expect(object["level"] == "info")
        #expect(object["request_id"] == "r-1")
        #expect(object["path"] == "\\ \u{1} é")
        #expect(object["time"]?.hasSuffix("Z") == true)
    }

    @Test(arguments: [
        "password", "newPassword", "jwt_secret", "refreshToken", "Authorization", "set-cookie", "credentials", "apiKey",
    ]) func neverWritesWhatIsSecretByItsName(name: String) throws {
        for style in [LogLines.Style.json, .pretty(colours: false), .pretty(colours: true)] {
            let text = try written(style) { $0.info("message", metadata: [name: "hunter2"]) }

            #expect(!text.contains("hunter2"))
            #expect(text.contains(name))
        }
    }

    @Test func keepsAPrettyLineOnOneLineAndPlainWithoutATerminal() throws {
        let text = try written(.pretty(colours: false)) { $0.warning("one\ntwo", metadata: ["function": "get-me"]) }

        #expect(text.hasSuffix("one two function=get-me\n"))
        #expect(!text.contains("\u{1B}"))
    }

    @Test func leavesOutWhatIsBelowItsLevel() throws {
        #expect(try written(.json) { $0.debug("not now") } == "")
    }

    @Test(arguments: [
        (["NODE_ENV": "production", "LOG_FORMAT": "pretty"], true), (["LOG_FORMAT": "json"], true),
        (["LOG_FORMAT": "pretty"], false), ([:], true),
    ]) func choosesItsStyle(environment: [String: String], isJSON: Bool) {
        let style = LogLines.style(environment: environment, descriptor: Pipe().fileHandleForWriting.fileDescriptor)

        if case .json = style { #expect(isJSON) } else { #expect(!isJSON) }
    }
}
