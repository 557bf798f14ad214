/**
 * Server reflection, so that grpcurl and friends need no proto files. It answers from the descriptors compiled into the
 * services themselves; both versions of the protocol have the same messages and share one implementation.
 */
import type { DescFile, MessageInitShape } from "@bufbuild/protobuf";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { type DescriptorIndex, encodeWithImports } from "./descriptor-index.ts";

type Question = ServerReflectionRequest["messageRequest"];
type Answer = NonNullable<
  Exclude<
    MessageInitShape<typeof ServerReflectionResponseSchema>,
    { $typeName: string }
  >["messageResponse"]
>;

/** Handlers of `grpc.reflection.v1.ServerReflection`; they serve `v1alpha` as well. */
export function reflectionService(index: DescriptorIndex): ServiceImpl<typeof ServerReflection> {
  return {
    async *serverReflectionInfo(requests) {
      for await (const originalRequest of requests) {
        const messageResponse = answer(index, originalRequest.messageRequest);
        yield { validHost: originalRequest.host, originalRequest, messageResponse };
      }
    },
  };
}

function answer(index: DescriptorIndex, question: Question): Answer {
  switch (question.case) {
    case "listServices": {
      const service = index.services.map((name) => ({ name }));
      return { case: "listServicesResponse", value: { service } };
    }
    case "fileByFilename":
      return fileAnswer(question.value, index.file(question.value));
    case "fileContainingSymbol":
      return fileAnswer(question.value, index.fileOfSymbol(question.value));
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = question.value;
      const file = index.fileOfExtension(containingType, extensionNumber);
      return fileAnswer(`${containingType}[${extensionNumber}]`, file);
    }
    case "allExtensionNumbersOfType":
      return extensionsAnswer(index, question.value);
    case undefined:
      return refusal(Code.InvalidArgument, "the request asks for nothing");
  }
}

function fileAnswer(name: string, file: DescFile | undefined): Answer {
  if (file === undefined) return refusal(Code.NotFound, `"${name}" is not served here`);
  return {
    case: "fileDescriptorResponse",
    value: { fileDescriptorProto: encodeWithImports(file) },
  };
}

function extensionsAnswer(index: DescriptorIndex, baseTypeName: string): Answer {
  if (index.fileOfSymbol(baseTypeName) === undefined) {
    return refusal(Code.NotFound, `"${baseTypeName}" is not served here`);
  }
  const extensionNumber = index.extensionNumbers(baseTypeName);
  return { case: "allExtensionNumbersResponse", value: { baseTypeName, extensionNumber } };
}

function refusal(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
