import Foundation
import Manifest
import TestSupport

@testable import Deploy

/// What the tests deploy.
enum Samples {
    /// The product itself.
    static var product: Manifest {
        get throws {
            try Manifest.parse(String(contentsOfFile: Checkout.root + "/functions.yaml", encoding: .utf8))
        }
    }

    static func deployment(perFunction: Bool = false, settings: [String: String] = [:]) throws -> Deployment {
        try Deployment(
            product,
            perFunction: perFunction,
            image: "registry.example.com/delightchat:0.1.0",
            domains: ["help.example.com", "help.example.org"],
            settings: settings
        )
    }

    static func kubernetes(perFunction: Bool = false) throws -> [DeployFile] {
        Kubernetes(
            try deployment(perFunction: perFunction),
            namespace: "delightchat",
            entrance: (namespace: "gateways", name: "public")
        ).files
    }

    static func compose(perFunction: Bool = false) throws -> [DeployFile] {
        Compose(try deployment(perFunction: perFunction)).files
    }

    /// A folder of one test with these files in it.
    static func folder(_ files: [DeployFile]) throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "delightchat-deploy-\(UUID().uuidString)")
        try DeployFolder.write(files, to: folder)
        return folder
    }
}
