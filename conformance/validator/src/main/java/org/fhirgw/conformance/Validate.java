package org.fhirgw.conformance;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.parser.IParser;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirDefaultPolicyAdvisor;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.common.hapi.validation.validator.WorkerContextValidationSupportAdapter;
import org.hl7.fhir.r4.model.CodeSystem;
import org.hl7.fhir.r4.model.CodeSystem.CodeSystemContentMode;
import org.hl7.fhir.r4.model.CodeSystem.CodeSystemHierarchyMeaning;
import org.hl7.fhir.r4.model.CodeSystem.ConceptDefinitionComponent;
import org.hl7.fhir.r4.model.Enumerations.PublicationStatus;
import org.hl7.fhir.r5.context.IWorkerContext;
import org.hl7.fhir.r5.elementmodel.Manager.FhirFormat;
import org.hl7.fhir.r5.model.StructureDefinition;
import org.hl7.fhir.r5.utils.XVerExtensionManager;
import org.hl7.fhir.r5.utils.validation.ValidatorSession;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;
import org.hl7.fhir.r5.utils.validation.constants.IdStatus;
import org.hl7.fhir.utilities.validation.ValidationMessage;
import org.hl7.fhir.utilities.validation.ValidationMessage.IssueSeverity;
import org.hl7.fhir.validation.ValidatorSettings;
import org.hl7.fhir.validation.instance.InstanceValidator;

/**
 * The HAPI instance validator over NDJSON: a resource a line in, its problems a line out, in their order.
 *
 * <p>Arguments: folders of definitions (JSON): ours, and those of other packages. A line out is
 * {@code {"issues": [{"severity", "location", "id", "message"}]}}.
 */
public final class Validate {
  private Validate() {}

  /** Bindings that name no value set: nothing can be held to them. */
  private static final Set<String> NOT_SOUGHT =
      Set.of("Terminology_TX_Binding_NoSource", "Terminology_TX_Binding_NoSource2");

  public static void main(String[] folders) throws IOException {
    FhirContext context = FhirContext.forR4();
    IParser parser = context.newJsonParser();
    DefaultProfileValidationSupport core = new DefaultProfileValidationSupport(context);
    PrePopulatedValidationSupport given = new PrePopulatedValidationSupport(context);
    given.addResource(raceAndEthnicity(core));
    for (String folder : folders) {
      load(Path.of(folder), parser, given);
    }
    ValidationSupportChain chain =
        new ValidationSupportChain(
            core,
            given,
            new CommonCodeSystemsTerminologyService(context),
            new InMemoryTerminologyServerValidationSupport(context),
            new SnapshotGeneratingValidationSupport(context));
    IWorkerContext worker = WorkerContextValidationSupportAdapter.newVersionSpecificWorkerContextWrapper(chain);
    ThreadLocal<InstanceValidator> validator = ThreadLocal.withInitial(() -> validator(worker));

    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    in.lines().parallel().map(line -> issues(validator.get(), worker, line)).forEachOrdered(out::println);
    out.flush();
  }

  /**
   * As {@code FhirInstanceValidator} has it, which makes one for each resource: that takes four times as long as to
   * validate with it.
   */
  private static InstanceValidator validator(IWorkerContext worker) {
    InstanceValidator made =
        new InstanceValidator(
            worker,
            new FhirInstanceValidator.NullEvaluationContext(),
            new XVerExtensionManager(worker),
            new ValidatorSession(),
            new ValidatorSettings());
    made.setPolicyAdvisor(new FhirDefaultPolicyAdvisor());
    made.setBestPracticeWarningLevel(BestPracticeWarningLevel.Warning);
    made.setAnyExtensionsAllowed(true);
    made.setErrorForUnknownProfiles(false);
    made.setUnknownCodeSystemsCauseErrors(true);
    made.setResourceIdRule(IdStatus.OPTIONAL);
    return made;
  }

  private static String issues(InstanceValidator validator, IWorkerContext worker, String line) {
    List<ValidationMessage> found = new ArrayList<>();
    InputStream resource = new ByteArrayInputStream(line.getBytes(StandardCharsets.UTF_8));
    validator.validate(null, found, resource, FhirFormat.JSON, profiles(worker, line));
    return found.stream()
        .filter(message -> message.getLevel() != IssueSeverity.INFORMATION)
        .filter(message -> !NOT_SOUGHT.contains(String.valueOf(message.getMessageId())))
        .map(Validate::issue)
        .collect(Collectors.joining(",", "{\"issues\":[", "]}"));
  }

  /** Those that the resource says it follows, and that are known. */
  private static List<StructureDefinition> profiles(IWorkerContext worker, String line) {
    JsonObject meta = JsonParser.parseString(line).getAsJsonObject().getAsJsonObject("meta");
    JsonElement named = meta == null ? null : meta.get("profile");
    List<StructureDefinition> found = new ArrayList<>();
    if (named != null) {
      for (JsonElement url : named.getAsJsonArray()) {
        StructureDefinition known = worker.fetchResource(StructureDefinition.class, url.getAsString());
        if (known != null) {
          found.add(known);
        }
      }
    }
    return found;
  }

  private static String issue(ValidationMessage message) {
    return "{\"severity\":" + quoted(message.getLevel().toCode())
        + ",\"location\":" + quoted(message.getLocation())
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

  /** The CDC's code system, which no package has: R4 has its codes, in its order, in two of HL7's. */
  private static CodeSystem raceAndEthnicity(IValidationSupport core) {
    CodeSystem found = new CodeSystem();
    found.setUrl("urn:oid:2.16.840.1.113883.6.238").setStatus(PublicationStatus.ACTIVE);
    found.setContent(CodeSystemContentMode.COMPLETE).setHierarchyMeaning(CodeSystemHierarchyMeaning.ISA);
    found.addConcept().setCode("1000-9").setDisplay("Race").setConcept(concepts(core, "v3-Race"));
    found.addConcept().setCode("2133-7").setDisplay("Ethnicity").setConcept(concepts(core, "v3-Ethnicity"));
    return found;
  }

  private static List<ConceptDefinitionComponent> concepts(IValidationSupport core, String name) {
    return ((CodeSystem) core.fetchCodeSystem("http://terminology.hl7.org/CodeSystem/" + name)).getConcept();
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
