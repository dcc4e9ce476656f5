import Foundation
import TestSupport
import Testing

@testable import Deploy

@Suite struct YAMLTests {
    @Test func keepsTheOrderAndLeavesOutWhatIsNil() {
        let value: YAML = [
            "b": 1, "nothing": nil, "a": ["x": true, "list": ["one", ["k": "v", "l": [2]]], "empty": []],
        ]

        #expect(
            value.document == """
                b: 1
                a:
                  x: true
                  list:
                    - one
                    - k: v
                      l:
                        - 2
                  empty: []

                """
        )
    }

    @Test func commentsStandBeforeWhatTheySpeakOf() {
        let value: YAML = [
            "a": .remarked("first\nsecond", ["x": .remarked("third", 1)]), "b": [.remarked("fourth", "z")],
        ]

        #expect(
            value.document == """
                # first
                # second
                a:
                  # third
                  x: 1
                b:
                  # fourth
                  - z

                """
        )
    }

    /// Texts that YAML 1.1 or 1.2 takes for something else unless they are quoted.
    @Test func anotherProgramReadsTheSameTexts() async throws {
        let texts = [
            "", " ", "plain", "yes", "No", "null", "~", "1", "0x1f", "1e3", "-1", ".5", ".inf", "12:30:45",
            "2026-01-01", "0o17",
            "a: b", "a #b", "#a", "- a", "a:", "[a]", "{a}", "*a", "&a", "!a", "|", ">", "'", "\"", "\\", "%a", "@a",
            "`a`",
            "a\nb", "\ttab", "trailing ", "${NAME:?is not set}", "grüße", "emoji 🚀", "\u{1}", "\u{7f}", "<<", "=",
            "key=value",
            "y", "true", "a,b", "http://host:80/path?x=1&y=2", "--flag",
        ]
        let document = YAML.mapping(texts.enumerated().map { ("t\($0.offset)", .text($0.element)) }).document
        let folder = try Samples.folder([DeployFile(path: "texts.yaml", text: document)])
        defer { try? FileManager.default.removeItem(at: folder) }  // a folder that stays is in nobody's way

        let read = try await Command.shell(
            "\(TestServers.python) -c 'import json,sys,yaml; print(json.dumps(list(yaml.safe_load(sys.stdin).values())))' "
                + "< \(folder.path)/texts.yaml"
        )

        #expect(read.status == 0, "\(read.errors)")
        #expect(try JSONDecoder().decode([String].self, from: Data(read.output.utf8)) == texts)
    }
}
