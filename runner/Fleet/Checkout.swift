import Foundation

/// Finds the repository that a `runner` belongs to.
package enum Checkout {
    /// The nearest folder with a `functions.yaml`, upwards from the working directory, else from the executable
    /// (which lies in `.build/` of its checkout); `nil` when there is none, as in a container.
    package static func root(
        from directory: String = FileManager.default.currentDirectoryPath,
        executable: String? = Checkout.executable
    ) -> String? {
        climb(directory) ?? executable.flatMap(climb)
    }

    /// The running program, symbolic links resolved.
    package static var executable: String? {
        // Unreadable only where /proc isn't mounted.
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    }

    private static func climb(_ start: String) -> String? {
        var folder = start
        while !folder.isEmpty {
            if Files.exists("\(folder)/functions.yaml"), Files.exists("\(folder)/Package.swift") { return folder }
            folder = String(folder[..<(folder.lastIndex(of: "/") ?? folder.startIndex)])
        }
        return nil
    }
}
