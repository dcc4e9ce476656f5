/// A file that a provider is given, because it takes no addresses.
package struct OutgoingFile: Sendable {
    /// Its content type, without parameters.
    package let type: String
    /// In bytes.
    package let size: Int
    private let open: @Sendable () -> AsyncThrowingStream<[UInt8], any Error>

    package init(type: String, size: Int, open: @escaping @Sendable () -> AsyncThrowingStream<[UInt8], any Error>) {
        self.type = type
        self.size = size
        self.open = open
    }

    /// All of it from the start, piece by piece.
    var blocks: AsyncThrowingStream<[UInt8], any Error> { open() }
}

/// What came of giving a provider a file.
package enum UploadResult: Sendable, Equatable {
    /// It is there under this id.
    case uploaded(String)
    /// As of a send: nothing was sent.
    case refused(SendResult)
}
