import com.pixelmed.validate.DicomSRValidator;
import java.lang.reflect.Field;

/**
 * Validates many reports in one JVM, since most of the time is spent compiling the templates.
 *
 * <p>Saxon keeps the documents that a transformer has read. PixelMed hands the items that its first
 * pass found to the second pass as a document, which must not be that of the report before.
 */
public class ValidateReports {
    public static void main(String[] paths) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        Field field = DicomSRValidator.class.getDeclaredField("transformerPass2");
        field.setAccessible(true);
        Object transformer = field.get(validator);
        Object controller =
                transformer.getClass().getMethod("getUnderlyingController").invoke(transformer);
        for (String path : paths) {
            controller.getClass().getMethod("clearDocumentPool").invoke(controller);
            System.out.println("== " + path);
            System.out.println(validator.validate(path));
        }
    }
}
