import com.pixelmed.validate.DicomSRValidator;

/** Validates many reports in one JVM: compiling the templates takes longer than using them. */
public class ValidateReports {
    public static void main(String[] paths) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String path : paths) {
            System.out.println("== " + path);
            System.out.println(validator.validate(path));
        }
    }
}
