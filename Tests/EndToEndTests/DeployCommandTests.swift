import Foundation
import TestSupport
import Testing

/// The commands that make what runs the product elsewhere.
@Suite struct DeployCommandTests {
    @Test(arguments: ["compose", "kubernetes"]) func deployFilesAreMadeAndChecked(form: String) async throws {
        let folder = NSTemporaryDirectory() + "delightchat-deploy-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }  // a folder that stays is in nobody's way
        let words = ["deploy", form, "-o", folder, "--domain", "help.example.com", "--set", "LOG_LEVEL=debug"]

        let missing = try await Command.run(words + ["--check"])
        let made = try await Command.run(words)
        let same = try await Command.run(words + ["--check"])
        let other = try await Command.run(words + ["--check", "--image", "other:1"])
        let secret = try await Command.run(words + ["--set", "JWT_SECRET=x"])

        #expect([missing.status, made.status, same.status, other.status] == [1, 0, 0, 1])
        #expect(other.errors.split(separator: "\n").allSatisfy { $0.hasPrefix(folder) && $0.contains("differs") })
        #expect(secret.status != 0 && secret.errors.contains("JWT_SECRET is a secret"))
    }

    @Test func theImagePrintsHowItIsMade() async throws {
        let compiled = try await Command.run(["image", "--print", "--builder-image", "swift-of-ours"])
        let prebuilt = try await Command.run([
            "image", "--print", "--prebuilt", "runner", "--base-image", "slim-of-ours",
        ])

        #expect(compiled.output.contains("ARG BUILDER_IMAGE=swift-of-ours\n"))
        #expect(compiled.output.contains("--static-swift-stdlib") && compiled.output.contains("strip "))
        #expect(compiled.output.contains("HEALTHCHECK") && compiled.output.contains("\nUSER 10001:10001\n"))
        #expect(prebuilt.output.contains("ARG BASE_IMAGE=slim-of-ours\n"))
        #expect(!prebuilt.output.contains("swift build"))
    }
}
