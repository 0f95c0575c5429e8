package org.fhirgw.conformance;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.parser.IParser;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import ca.uhn.fhir.validation.ValidationResult;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;

/**
 * The HAPI instance validator over NDJSON: a resource a line in, its problems a line out, in their order.
 *
 * <p>Arguments: folders of definitions (JSON): ours, and those of other packages. A line out is
 * {@code {"issues": [{"severity", "location", "id", "message"}]}}.
 */
public final class Validate {
  private Validate() {}

  public static void main(String[] folders) throws IOException {
    FhirContext context = FhirContext.forR4();
    IParser parser = context.newJsonParser();
    PrePopulatedValidationSupport given = new PrePopulatedValidationSupport(context);
    for (String folder : folders) {
      load(Path.of(folder), parser, given);
    }
    ValidationSupportChain chain =
        new ValidationSupportChain(
            new DefaultProfileValidationSupport(context),
            given,
            new CommonCodeSystemsTerminologyService(context),
            new InMemoryTerminologyServerValidationSupport(context),
            new SnapshotGeneratingValidationSupport(context));
    FhirInstanceValidator module = new FhirInstanceValidator(chain);
    module.setAnyExtensionsAllowed(true);
    module.setErrorForUnknownProfiles(false);
    module.setNoTerminologyChecks(false);
    FhirValidator validator = context.newValidator().registerValidatorModule(module);

    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    in.lines().parallel().map(line -> issues(validator.validateWithResult(line))).forEachOrdered(out::println);
    out.flush();
  }

  private static String issues(ValidationResult result) {
    return result.getMessages().stream()
        .filter(message -> message.getSeverity() != ResultSeverityEnum.INFORMATION)
        .map(Validate::issue)
        .collect(Collectors.joining(",", "{\"issues\":[", "]}"));
  }

  private static String issue(SingleValidationMessage message) {
    return "{\"severity\":" + quoted(message.getSeverity().getCode())
        + ",\"location\":" + quoted(message.getLocationString())
        + ",\"id\":" + quoted(message.getMessageId())
        + ",\"message\":" + quoted(message.getMessage()) + "}";
  }

  private static void load(Path folder, IParser parser, PrePopulatedValidationSupport support) throws IOException {
    try (DirectoryStream<Path> files =
        Files.newDirectoryStream(folder, "{StructureDefinition,ValueSet,CodeSystem}-*.json")) {
      for (Path file : files) {
        support.addResource(parser.parseResource(Files.readString(file)));
      }
    }
  }

  private static String quoted(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (char c : (text == null ? "" : text).toCharArray()) {
      if (c == '"' || c == '\\') {
        quoted.append('\\').append(c);
      } else if (c < ' ') {
        quoted.append(String.format("\\u%04x", (int) c));
      } else {
        quoted.append(c);
      }
    }
    return quoted.append('"').toString();
  }
}
